// Package peer is a Go dagsync peer that is driven by JSON lines: test/interop/go-peer.ts has the commands.
//
// One request a line on stdin, {"id":1,"cmd":"chain","count":10}; one answer a line on stdout, {"id":1,"ok":...} or
// {"id":1,"error":"..."}; and events between them, {"event":"syncFinished",...}. It ends when stdin closes, or after a limit.
package peer

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

	"github.com/ipld/go-ipld-prime"
	"github.com/ipni/go-libipni/announce"
	"github.com/ipni/go-libipni/dagsync"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
)

// Library is what differs between the versions of go-libipni.
type Library struct {
	NewSubscriber func(h host.Host, lsys ipld.LinkSystem, topic string, opts ...dagsync.Option) (*dagsync.Subscriber, error)
	RecvAnnounce  func(topic string, opts ...announce.Option) dagsync.Option
	NewPublisher  func(PublisherInit) (dagsync.Publisher, error)
	// EventError is SyncFinished.AsyncErr, later named Err.
	EventError func(dagsync.SyncFinished) error
}

// PublisherInit is what a publisher may be made of.
type PublisherInit struct {
	Transport   string
	Listen      string
	HandlerPath string
	HeadTopic   string
	Topic       string
	Host        host.Host
	Key         crypto.PrivKey
	LinkSystem  ipld.LinkSystem
}

type command func(context.Context, json.RawMessage) (any, error)

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

func event(name string, fields map[string]any) {
	fields["event"] = name
	write(fields)
}

// Run reads commands until stdin ends.
func Run(lib Library) {
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

	p := &peer{lib: lib, store: newStore()}
	commands := p.commands()
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
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

func answer(req request, cmd command, line json.RawMessage) {
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

// typed reads the arguments of a command.
func typed[A any](f func(context.Context, A) (any, error)) command {
	return func(ctx context.Context, line json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(line, &args); err != nil {
			return nil, err
		}
		return f(ctx, args)
	}
}
