// Parses a configuration with crossplane-go, several times, and prints the best time and the peak
// memory: crossplane-go FILE [RUNS].
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	crossplane "github.com/nginxinc/nginx-go-crossplane"
)

// Of this program alone: what getrusage says counts the one that started it.
func peak() string {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "0"
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "VmHWM:") {
			return strings.Fields(line)[1]
		}
	}
	return "0"
}

// Of all its threads, the garbage collector's among them.
func cpu() time.Duration {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func main() {
	runs := 1
	if len(os.Args) > 2 {
		runs, _ = strconv.Atoi(os.Args[2])
	}
	best, least := time.Duration(1<<62), time.Duration(1<<62)
	files := 0
	for i := 0; i < runs; i++ {
		started, before := time.Now(), cpu()
		payload, err := crossplane.Parse(os.Args[1], &crossplane.ParseOptions{})
		took := time.Since(started)
		if err != nil || payload.Status != "ok" {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		files = len(payload.Config)
		if took < best {
			best = took
		}
		if used := cpu() - before; used < least {
			least = used
		}
	}
	fmt.Printf("%d files\n%.2f ms\n%.2f ms of CPU\n%s kB\n", files, float64(best.Microseconds())/1000,
		float64(least.Microseconds())/1000, peak())
}
