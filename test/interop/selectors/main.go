// Walks DAGs with selectors as go-ipld-prime does. One case per line on stdin, one answer per line on stdout.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ipfs/go-cid"
	dagpb "github.com/ipld/go-codec-dagpb"
	"github.com/ipld/go-ipld-prime"
	_ "github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	_ "github.com/ipld/go-ipld-prime/codec/raw"
	"github.com/ipld/go-ipld-prime/linking"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	"github.com/ipld/go-ipld-prime/node/basicnode"
	"github.com/ipld/go-ipld-prime/traversal"
	"github.com/ipld/go-ipld-prime/traversal/selector"
)

type input struct {
	Selector string            `json:"selector"` // dag-json
	Root     string            `json:"root"`
	Blocks   map[string]string `json:"blocks"` // base64
	Skip     bool              `json:"skip"`   // go on past a missing block
	MaxLoads int               `json:"maxLoads"`
}

type output struct {
	Loads   []string `json:"loads"`
	Success bool     `json:"success"`
	Cut     bool     `json:"cut"` // stopped at maxLoads
	Error   string   `json:"error,omitempty"`
}

var errCut = errors.New("enough loads")

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		var c input
		if err := json.Unmarshal(line, &c); err != nil {
			panic(err)
		}
		answer, _ := json.Marshal(run(c))
		out.Write(append(answer, '\n'))
		out.Flush()
	}
}

func run(c input) (o output) {
	o.Loads = []string{}
	defer func() {
		if r := recover(); r != nil {
			o.Error = fmt.Sprint("panic: ", r)
		}
	}()
	fail := func(err error) output {
		o.Error = err.Error()
		o.Cut = errors.Is(err, errCut)
		return o
	}
	nb := basicnode.Prototype.Any.NewBuilder()
	if err := dagjson.Decode(nb, strings.NewReader(c.Selector)); err != nil {
		return fail(err)
	}
	sel, err := selector.CompileSelector(nb.Build())
	if err != nil {
		return fail(err)
	}
	lsys := cidlink.DefaultLinkSystem()
	lsys.TrustedStorage = true
	lsys.StorageReadOpener = func(_ linking.LinkContext, lnk ipld.Link) (io.Reader, error) {
		encoded, ok := c.Blocks[lnk.String()]
		if !ok {
			if c.Skip {
				return nil, traversal.SkipMe{}
			}
			return nil, errors.New("not found")
		}
		if len(o.Loads) == c.MaxLoads {
			return nil, errCut
		}
		o.Loads = append(o.Loads, lnk.String())
		data, err := base64.StdEncoding.DecodeString(encoded)
		return bytes.NewReader(data), err
	}
	root, err := cid.Decode(c.Root)
	if err != nil {
		return fail(err)
	}
	chooser := dagpb.AddSupportToChooser(func(ipld.Link, ipld.LinkContext) (ipld.NodePrototype, error) {
		return basicnode.Prototype.Any, nil
	})
	prototype, _ := chooser(cidlink.Link{Cid: root}, ipld.LinkContext{})
	node, err := lsys.Load(ipld.LinkContext{Ctx: context.Background()}, cidlink.Link{Cid: root}, prototype)
	if err == nil {
		progress := traversal.Progress{Cfg: &traversal.Config{
			Ctx:                            context.Background(),
			LinkSystem:                     lsys,
			LinkTargetNodePrototypeChooser: chooser,
		}}
		err = progress.WalkAdv(node, sel, func(traversal.Progress, ipld.Node, traversal.VisitReason) error { return nil })
	} else if _, ok := err.(traversal.SkipMe); ok {
		err = nil
	}
	if err != nil {
		return fail(err)
	}
	o.Success = true
	return o
}
