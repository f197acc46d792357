package main

import (
	"bytes"
	"testing"
)

const want = `30 went from Ann to Bob: Ann has 70, Bob has 80
after 100 more transfers there is 150
refused: Ann has 70 and not 1000
refused: Carl's account is closed
a standing order was cancelled
a standing order met its deadline
Bob's account is gone: ActorDied, and the deposit was not executed
`

func TestTheStoryIsTold(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%+v", err)
	}
	if got := out.String(); got != want {
		t.Errorf("printed:\n%s\nwant:\n%s", got, want)
	}
}
