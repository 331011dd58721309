package main

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestEveryFlagBeforeACommandIsThatCommandsToo says every flag of the settings before and after every command's name. What is said in front counts, or is refused by name.
func TestEveryFlagBeforeACommandIsThatCommandsToo(t *testing.T) {
	var app *cli.App
	said := func(line ...string) (layer map[string]string, err error) {
		w := world{args: []string{"with-creds"}}
		app = w.app()
		for _, command := range leaves(nil, app.Commands) {
			command.Action = func(c *cli.Context) error {
				layer = flagLayer(c)
				return nil
			}
		}
		err = app.RunContext(context.Background(), flagsFirst(app, append(w.args, line...)))
		return layer, err
	}
	_, _ = said() // makes app
	for path, command := range leaves(nil, app.Commands) {
		words := strings.Fields(path)
		for _, f := range fields() {
			flag := []string{"--" + f.flag}
			if f.Type.Kind() != reflect.Bool {
				flag = append(flag, "x")
			}
			before, err := said(slices.Concat(flag, words)...)
			after, errAfter := said(slices.Concat(words, flag)...)
			known := slices.ContainsFunc(command.Flags, func(known cli.Flag) bool { return slices.Contains(known.Names(), f.flag) })
			switch {
			case known && (err != nil || before[f.env] == "" || !maps.Equal(before, after)):
				t.Errorf("with-creds %s %s: %v, %v; want %v", strings.Join(flag, " "), path, before, err, after)
			case !known && (err == nil || !strings.Contains(err.Error(), "there is no flag --"+f.flag) || errAfter == nil):
				t.Errorf("with-creds %s %s: it is neither taken nor refused: %v, %v", strings.Join(flag, " "), path, err, errAfter)
			}
		}
	}
	got, err := said("-c", "vault:a", "--leash", "30s", "run", "-c", "vault:b", "--leash=1m")
	if want := map[string]string{"WITH_CREDS": "vault:a\nvault:b", "WITH_CREDS_LEASH": "1m"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("what is said twice comes to %v, want %v: %v", got, want, err)
	}
}

// leaves are the commands that do something, by what one types to reach them.
func leaves(path []string, commands []*cli.Command) map[string]*cli.Command {
	all := map[string]*cli.Command{}
	for _, command := range commands {
		at := append(slices.Clone(path), command.Name)
		if len(command.Subcommands) > 0 {
			maps.Copy(all, leaves(at, command.Subcommands))
		} else {
			all[strings.Join(at, " ")] = command
		}
	}
	return all
}
