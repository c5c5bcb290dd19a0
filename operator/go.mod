module github.com/triangle-suite/triangle/operator

go 1.26.0

require (
	github.com/triangle-suite/triangle/contracts v0.0.0
	github.com/triangle-suite/triangle/services v0.0.0
)

replace github.com/triangle-suite/triangle/contracts => ../contracts

replace github.com/triangle-suite/triangle/services => ../services
