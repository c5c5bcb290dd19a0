module github.com/triangle-suite/triangle/operator

go 1.26.0

require github.com/triangle-suite/triangle/contracts v0.0.0

require (
	github.com/netresearch/go-cron v0.9.1 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/triangle-suite/triangle/contracts => ../contracts

replace github.com/triangle-suite/triangle/services => ../services
