// Messages a second through the bus module that NGINX Agent v3 uses, the way it uses it: handlers
// take a context and a message, each has a queue of 100, publishing blocks when one is full.
//
//	bus-go SUBSCRIBERS MESSAGES
//
// Prints ns a message of the best of several runs. GOMAXPROCS decides how many cores it may use.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	messagebus "github.com/vardius/message-bus"
)

const (
	queue = 100
	runs  = 5
	topic = "bench.tick"
)

type message struct {
	topic string
	data  any
}

func run(subscribers, messages int) (time.Duration, error) {
	bus := messagebus.New(queue)
	var arrived sync.WaitGroup
	arrived.Add(subscribers)
	for range subscribers {
		seen := 0
		handler := func(_ context.Context, m *message) {
			if m.topic == topic {
				seen++
			}
			if seen == messages {
				arrived.Done()
			}
		}
		if err := bus.Subscribe(topic, handler); err != nil {
			return 0, err
		}
	}
	ctx := context.Background()
	start := time.Now()
	for range messages {
		bus.Publish(topic, ctx, &message{topic: topic})
	}
	arrived.Wait()
	took := time.Since(start)
	bus.Close(topic)
	return took, nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: bus-go SUBSCRIBERS MESSAGES")
		os.Exit(2)
	}
	subscribers, err1 := strconv.Atoi(os.Args[1])
	messages, err2 := strconv.Atoi(os.Args[2])
	if err1 != nil || err2 != nil || subscribers < 1 || messages < 1 {
		fmt.Fprintln(os.Stderr, "bus-go: both arguments must be positive numbers")
		os.Exit(2)
	}
	best := time.Duration(0)
	for i := range runs {
		took, err := run(subscribers, messages)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bus-go:", err)
			os.Exit(1)
		}
		if i == 0 || took < best {
			best = took
		}
	}
	ns := float64(best.Nanoseconds()) / float64(messages)
	fmt.Printf("1 -> %d: %.1f ns/msg, %.3f M msg/s\n", subscribers, ns, 1000/ns)
}
