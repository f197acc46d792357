package errorvalue

import (
	"strings"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"google.golang.org/protobuf/proto"
)

func TestAnErrorIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	e := &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED, Message: "no luck", Stack: "goroutine 1", Attempt: 3,
		Cause: &mobulav1.ErrorValue{Message: "root"}, Chain: []*mobulav1.ErrorLink{{Message: "link", Registered: "x.Error"}},
	}
	if got := Decode(Encode(e)); !proto.Equal(got, e) {
		t.Errorf("read %v, want %v", got, e)
	}
}

func TestWhatIsNoErrorIsReadAsOneThatSaysSo(t *testing.T) {
	t.Parallel()
	plain := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: []byte{1}}
	broken := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_ERROR, Meta: []byte{0xff}}
	for name, v := range map[string]*mobulav1.Value{"a value": &plain, "an error value that is cut": &broken, "nothing": {}} {
		b, err := v.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		if got := Decode(b); got.GetKind() != mobulav1.ErrorKind_ERROR_KIND_INTERNAL || !strings.Contains(got.GetMessage(), "cannot be read") {
			t.Errorf("%s is read as %v", name, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(&mobulav1.ErrorValue{Message: "x"}))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if Decode(b) == nil {
			t.Error("nothing was read")
		}
	})
}
