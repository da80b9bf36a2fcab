package lines

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Gate stands before the reads of a store, so that a test can act in the middle of a transfer: it delays each read, or
// holds all after the next so many until they are released. The zero value lets everything pass.
type Gate struct {
	mutex sync.Mutex
	delay time.Duration
	left  int           // reads that still pass
	open  chan struct{} // nil: nothing is held
	held  bool
}

// Pass is called before each read.
func (g *Gate) Pass() {
	g.mutex.Lock()
	delay, open := g.delay, g.open
	if open != nil && g.left > 0 {
		g.left--
		open = nil
	}
	if open != nil && !g.held {
		g.held = true
		Event("held", map[string]any{})
	}
	g.mutex.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	if open != nil {
		<-open
	}
}

// Commands of the gate.
func (g *Gate) Commands() map[string]Command {
	return map[string]Command{"slow": Typed(g.slow), "hold": Typed(g.hold), "release": Typed(g.release)}
}

// slow delays each read by so many milliseconds.
func (g *Gate) slow(_ context.Context, args struct{ Delay float64 }) (any, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.delay = time.Duration(args.Delay * float64(time.Millisecond))
	return nil, nil
}

// hold lets so many reads pass; the one after them, of which the event "held" tells, and all later ones wait for release.
func (g *Gate) hold(_ context.Context, args struct{ After int }) (any, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.open != nil {
		return nil, errors.New("held already")
	}
	g.left, g.open, g.held = args.After, make(chan struct{}), false
	return nil, nil
}

func (g *Gate) release(context.Context, struct{}) (any, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.open != nil {
		close(g.open)
		g.open = nil
	}
	return nil, nil
}
