module github.com/triangle-suite/triangle/e2e

go 1.26.0

require github.com/triangle-suite/triangle/contracts v0.0.0

replace github.com/triangle-suite/triangle/contracts => ../contracts
