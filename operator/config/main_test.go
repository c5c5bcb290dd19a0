package config_test

import (
	"os"
	"testing"

	"github.com/triangle-suite/triangle/operator/apitest"
)

func TestMain(m *testing.M) { os.Exit(apitest.Run(m)) }
