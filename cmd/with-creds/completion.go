package main

import (
	"embed"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/step/spec/nearest"
)

// The scripts know the shells and nothing of with-creds: they ask `with-creds completion words` what fits.
//
//go:embed completion
var completionScripts embed.FS

func (w *world) completionCommand() *cli.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cli.Command{
		Name:  "completion",
		Usage: "print what makes a shell complete flags, commands, presets and providers: bash, zsh or fish",
		UsageText: "with-creds completion bash|zsh|fish\n\n" +
			"source <(with-creds completion bash)      # in ~/.bashrc\n" +
			"source <(with-creds completion zsh)       # in ~/.zshrc, after compinit\n" +
			"with-creds completion fish | source       # in ~/.config/fish/config.fish",
		Action: func(c *cli.Context) error {
			shell := c.Args().First()
			if shell == "words" {
				return w.completeWords()
			}
			script, err := completionScripts.ReadFile("completion/with-creds." + shell)
			if c.NArg() > 1 {
				return fmt.Errorf("completion is for one shell at a time: with-creds completion %s", shell)
			}
			if err != nil {
				return fmt.Errorf("completion of which shell? There are %s%s", strings.Join(shells, ", "), nearest.DidYouMean(shell, shells))
			}
			_, err = w.stdout.Write(script)
			return err
		},
		OnUsageError: usageError,
	}
}

// completeWords is what the scripts ask: after -- come the line up to the cursor and, of bash, the characters at which it breaks words. It prints a candidate a
// line, each with a tab and what it is about, and then what the shell is to do besides: ":files" to offer files, ":nospace" to go on in the same word.
func (w *world) completeWords() error {
	if len(w.command) == 0 {
		return errors.New("completion words is for the shells' scripts")
	}
	breaks := ""
	if len(w.command) > 1 {
		breaks = w.command[1]
	}
	words, current := cutLine(w.command[0])
	s := w.suggest(words, current.text)
	for _, c := range s.candidates {
		if strings.HasPrefix(c.text, current.text) {
			fmt.Fprintf(w.stdout, "%s\t%s\n", current.broken(c.text, breaks), c.about)
		}
	}
	if s.files {
		fmt.Fprintln(w.stdout, ":files")
	}
	if s.nospace {
		fmt.Fprintln(w.stdout, ":nospace")
	}
	return nil
}

// A typed word is the one that the cursor is in.
type typed struct {
	text   string // without quotes
	quoted bool   // a quote is open
}

// broken is what a shell that breaks words in their middle is to put in place of the last part.
func (t typed) broken(candidate, breaks string) string {
	if t.quoted || breaks == "" {
		return candidate
	}
	return candidate[strings.LastIndexAny(t.text, breaks)+1:]
}

// cutLine cuts a line into words as a POSIX shell would, the name of the program left out. The last word is not finished yet, and may be empty.
func cutLine(line string) (words []string, current typed) {
	var word strings.Builder
	var quote rune
	escaped, begun := false, false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, begun = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r == ' ' || r == '\t':
			if begun || word.Len() > 0 {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
		}
	}
	if len(words) == 0 {
		return nil, typed{}
	}
	return words[1:], typed{word.String(), quote != 0}
}
