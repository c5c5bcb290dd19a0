module github.com/triangle-suite/triangle/contracts

go 1.26
