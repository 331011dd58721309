package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// version is the module's as Go puts it into the binary: of a release its tag, of another commit a pseudo-version.
var version = func() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}()

func (w *world) versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version",
		UsageText: "with-creds version [--json]\n\nwith-creds version --json",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "for a program to read"}},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fmt.Errorf("version takes no argument %q", c.Args().First())
			}
			if c.Bool("json") {
				return json.NewEncoder(w.stdout).Encode(map[string]string{
					"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintf(w.stdout, "with-creds %s (%s %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
		OnUsageError: usageError,
	}
}
