package peer

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// now is the monotonic clock that all processes of the machine share (process.hrtime in Node), in microseconds.
func now() float64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return float64(ts.Nano()) / 1e3
}

// idle collects garbage, and makes the memory there is now the peak.
func (p *peer) idle(ctx context.Context, _ struct{}) (any, error) {
	runtime.GC()
	runtime.GC()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return nil, fmt.Errorf("the peak cannot be reset: %w", err)
	}
	return p.stats(ctx, struct{}{})
}

// stats are bytes of resident memory (now, and at its peak since idle) and milliseconds of processor time.
func (p *peer) stats(context.Context, struct{}) (any, error) {
	result := map[string]any{}
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for status := bufio.NewScanner(file); status.Scan(); {
		name, value, _ := strings.Cut(status.Text(), ":")
		var kib int64
		if name == "VmRSS" || name == "VmHWM" {
			fmt.Sscan(value, &kib)
			result[map[string]string{"VmRSS": "rss", "VmHWM": "peak"}[name]] = kib * 1024
		}
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return nil, err
	}
	result["cpu"] = float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e6
	return result, nil
}
