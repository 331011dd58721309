package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWhatNobodyReadsIsWaitedForOnce has a reader that stands still, and then reads all.
func TestWhatNobodyReadsIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, to := io.Pipe()
		w := &patientWriter{to: to}
		began := time.Now()
		for i := range 100 {
			fmt.Fprintf(w, "line %d\n", i)
		}
		if took := time.Since(began); took != patience {
			t.Errorf("100 lines that nobody reads took %s, want %s", took, patience)
		}
		fmt.Fprint(w, strings.Repeat("x", mostUnread)) // more than is kept
		lines := bufio.NewScanner(read)
		for i := range 100 {
			if lines.Scan(); lines.Text() != fmt.Sprintf("line %d", i) {
				t.Fatalf("line %d is %q", i, lines.Text())
			}
		}
		synctest.Wait()
		go func() { fmt.Fprintln(w, "again") }()
		if lines.Scan(); lines.Text() != "again" {
			t.Errorf("then %.20q", lines.Text())
		}
	})
}
