package integration

import (
	"os"
	"testing"

	"github.com/mobula-dev/mobula/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m, programs)) }

var programs = map[string]harness.Program{"busy": busy, "neighbour": neighbour, "traced": traced}
