// Echo through a waPC guest with wapc-go.
//
//	wapc-go wazero GUEST.wasm BYTES [view]
//
// Prints the best time of a call with the answer in our own memory. Invoke gives a view of the
// guest's memory, which the guest's next step may write over, so it is copied; with "view" it is
// not. Length and bytes are looked at as in bench_echo.c.
package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/wapc/wapc-go"
	"github.com/wapc/wapc-go/engines/wazero"
)

const rounds = 200

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "wapc-go:", err)
		os.Exit(1)
	}
}

func refuse(context.Context, string, string, string, []byte) ([]byte, error) {
	return nil, fmt.Errorf("no host operations here")
}

func start(ctx context.Context, path string) wapc.Instance {
	guest, err := os.ReadFile(path)
	check(err)
	module, err := wazero.Engine().New(ctx, refuse, guest, &wapc.ModuleConfig{Logger: wapc.PrintlnLogger})
	check(err)
	instance, err := module.Instantiate(ctx)
	check(err)
	return instance
}

func measure(ctx context.Context, instance wapc.Instance, in []byte, calls int, copied bool) time.Duration {
	best := time.Duration(math.MaxInt64)
	out := make([]byte, len(in))
	n := rounds
	if len(in) > 4<<20 {
		n /= 5
	}
	for round := 0; round < n; round++ {
		good := true
		begin := time.Now()
		for i := 0; i < calls; i++ {
			answer, err := instance.Invoke(ctx, "echo", in)
			good = good && err == nil && len(answer) == len(in)
			if copied {
				copy(out, answer)
			} else {
				out = answer
			}
		}
		best = min(best, time.Since(begin))
		if !good || !bytes.Equal(out, in) {
			check(fmt.Errorf("wrong answer"))
		}
	}
	return best
}

func main() {
	if len(os.Args) < 4 || os.Args[1] != "wazero" {
		fmt.Fprintln(os.Stderr, "usage: wapc-go wazero GUEST.wasm BYTES [view]")
		os.Exit(2)
	}
	n, err := strconv.Atoi(os.Args[3])
	check(err)
	in := make([]byte, n)
	for i := range in {
		in[i] = byte(i * 7)
	}
	ctx := context.Background()
	instance := start(ctx, os.Args[2])
	calls := 1 + 4000000/(n+1000)
	copied := len(os.Args) < 5 || os.Args[4] != "view"
	took := measure(ctx, instance, in, calls, copied)
	fmt.Printf("%.1f ns\n", float64(took.Nanoseconds())/float64(calls))
	check(instance.Close(ctx))
}
