//go:build mobula_thin

package mobula

import (
	"context"
	"errors"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/takeover"
)

var errThin = errors.New("this program was built with the tag mobula_thin and has no node of its own: give the address of one")

// embed fails: the node was left out of this build.
func embed(context.Context, *initConfig, session.Config) (*session.Session, func(context.Context) error, error) {
	return nil, nil, errThin
}

// runNode fails likewise.
func runNode(*takeover.Child) error { return errThin }
