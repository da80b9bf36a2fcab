// Package lines drives a program by JSON lines: test/interop/go-peer.ts is the other end.
//
// One request a line on stdin, {"id":1,"cmd":"chain","count":10}; one answer a line on stdout, {"id":1,"ok":...} or
// {"id":1,"error":"..."}; and events between them, {"event":"syncFinished",...}. Requests run side by side, each within its
// own timeout. The program ends when stdin closes, or after a limit.
package lines

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// Command answers a request, or fails.
type Command func(context.Context, json.RawMessage) (any, error)

type request struct {
	ID      int64  `json:"id"`
	Cmd     string `json:"cmd"`
	Timeout int64  `json:"timeout"` // milliseconds
}

const (
	defaultTimeout = 60 * time.Second
	defaultLimit   = 10 * time.Minute
)

var output struct {
	sync.Mutex
	*json.Encoder
}

func write(v any) {
	output.Lock()
	defer output.Unlock()
	if output.Encode(v) != nil {
		os.Exit(1) // nobody reads
	}
}

// Event tells something unasked.
func Event(name string, fields map[string]any) {
	fields["event"] = name
	write(fields)
}

// Run reads requests until stdin ends.
func Run(commands map[string]Command) {
	output.Encoder = json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	limit := defaultLimit
	if s, err := strconv.Atoi(os.Getenv("DAGSYNC_PEER_LIMIT")); err == nil {
		limit = time.Duration(s) * time.Second
	}
	time.AfterFunc(limit, func() {
		fmt.Fprintln(os.Stderr, "the peer's time is over:", limit)
		os.Exit(3)
	})

	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			os.Exit(0)
		}
		var req request
		if err := json.Unmarshal(line, &req); err != nil {
			fmt.Fprintln(os.Stderr, "not a request:", err)
			os.Exit(2)
		}
		go answer(req, commands[req.Cmd], line)
	}
}

func answer(req request, cmd Command, line json.RawMessage) {
	defer func() {
		if r := recover(); r != nil {
			write(map[string]any{"id": req.ID, "error": fmt.Sprintf("panic: %v\n%s", r, debug.Stack())})
		}
	}()
	if cmd == nil {
		write(map[string]any{"id": req.ID, "error": "unknown command: " + req.Cmd})
		return
	}
	timeout := defaultTimeout
	if req.Timeout > 0 {
		timeout = time.Duration(req.Timeout) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	result, err := cmd(ctx, line)
	if err != nil {
		write(map[string]any{"id": req.ID, "error": err.Error()})
		return
	}
	write(map[string]any{"id": req.ID, "ok": result})
}

// Typed reads the arguments of a command.
func Typed[A any](f func(context.Context, A) (any, error)) Command {
	return func(ctx context.Context, line json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(line, &args); err != nil {
			return nil, err
		}
		return f(ctx, args)
	}
}

// Poll waits until done says so.
func Poll(ctx context.Context, done func() bool) error {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}
