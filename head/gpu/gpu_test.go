package gpu

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func names(devices []Device) []string {
	var out []string
	for _, d := range devices {
		out = append(out, d.Name)
	}
	return out
}

func TestTheDriversDirectoryTellsOfDevices(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	root := fstest.MapFS{
		"proc/driver/nvidia/gpus/0000:0a:00.0/information": file("Model: \t\t NVIDIA H200\nIRQ:   \t\t 16\nGPU UUID: \t GPU-aa\nDevice Minor: \t 3\n"),
		"proc/driver/nvidia/gpus/0000:01:00.0/information": file("Model: NVIDIA A100-SXM4-80GB\nGPU UUID: GPU-bb\nDevice Minor: 0\n"),
		"proc/driver/nvidia/gpus/0000:02:00.0/information": file("Model: of another container\nDevice Minor: 1\n"),
		"proc/driver/nvidia/gpus/0000:03:00.0/information": file("nonsense\n"),
		"dev/nvidia0": file(""), "dev/nvidia3": file(""),
	}
	want := []Device{{"NVIDIA A100-SXM4-80GB", "GPU-bb"}, {"NVIDIA H200", "GPU-aa"}}
	if got := fromProc(root); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if got := fromProc(fstest.MapFS{}); got != nil {
		t.Errorf("without a driver got %v", got)
	}
}

func TestTheListOfNvidiaSMIIsRead(t *testing.T) {
	t.Parallel()
	got := parseList([]byte("GPU 0: NVIDIA H200 (UUID: GPU-aa)\n  MIG 1g.18gb     Device  0: (UUID: MIG-cc)\nGPU 1: Tesla V100-SXM2-16GB (UUID: GPU-bb)\nnonsense\n"))
	if want := []Device{{"NVIDIA H200", "GPU-aa"}, {"Tesla V100-SXM2-16GB", "GPU-bb"}}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestVisibleDevicesAreThoseThatTheVariableLeaves(t *testing.T) {
	t.Parallel()
	all := []Device{{"a", "GPU-aa1"}, {"b", "GPU-bb2"}, {"c", "GPU-cc3"}}
	for value, want := range map[string][]string{
		"": nil, "-1": nil, "NoDevFiles": nil, "0": {"a"}, "2, 0": {"c", "a"}, "0,9,1": {"a"}, "1,1": {"b"}, "GPU-cc,0": {"c", "a"}, "GPU-": {"a"},
		"GPU-xx": nil, "MIG-1,MIG-2": {"a", "a"},
	} {
		if got := names(Visible(all, value)); !slices.Equal(got, want) {
			t.Errorf("%q leaves %q, want %q", value, got, want)
		}
	}
}

func TestTypesAreNamedAsProgramsAskForThem(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Tesla V100-SXM2-16GB": "V100", "NVIDIA A100-SXM4-40GB": "A100", "NVIDIA H200": "H200", "NVIDIA H100 80GB HBM3": "H100", "Tesla T4": "T4",
		"NVIDIA RTX PRO 6000 Blackwell Server Edition": "RTX-PRO-6000", "NVIDIA GeForce RTX 5090": "GeForce-RTX-5090", "": "", "NVIDIA L40S": "L40S",
	} {
		if got := Type(name); got != want {
			t.Errorf("%q is of type %q, want %q", name, got, want)
		}
	}
}

func TestTheGPUsOfThisMachineAreFound(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("nvidia-smi")
	if err != nil {
		t.Skip("this machine has no nvidia-smi to compare with, and so no GPU of NVIDIA")
	}
	out, err := exec.CommandContext(t.Context(), program, "-L").Output()
	if err != nil || !strings.HasPrefix(string(out), "GPU ") {
		t.Skipf("nvidia-smi lists no GPU: %v", err)
	}
	got, err := All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := parseList(out)
	if len(got) != len(want) {
		t.Fatalf("found %v, nvidia-smi lists %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("device %d is %v, nvidia-smi says %v", i, got[i], want[i])
		}
	}
	if _, set := os.LookupEnv(Environment); !set {
		if d, err := Detect(t.Context()); err != nil || len(d) != len(want) {
			t.Errorf("detected %v, error %v", d, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("GPU 0: NVIDIA H200 (UUID: GPU-aa)\n", "Model: x\nDevice Minor: 0\n", "0,GPU-aa,MIG-x")
	f.Fuzz(func(_ *testing.T, list, information, visible string) {
		devices := parseList([]byte(list))
		d, _ := parseInformation([]byte(information))
		for _, d := range Visible(append(devices, d), visible) {
			Type(d.Name)
		}
	})
}
