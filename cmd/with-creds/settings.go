package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/urfave/cli/v2"

	"github.com/with-creds/with-creds/step/guard"
	"github.com/with-creds/with-creds/step/spec"
	"github.com/with-creds/with-creds/step/spec/nearest"
)

// settings is the one definition of every setting of with-creds itself. Each field has four spellings, strongest first:
// the flag named in its tag, the environment variable, the same name in a dotenv file, the default. What a provider needs
// (VAULT_ADDR, PGHOST, …) is defined by the provider and read through the same layers.
//
// Field types: bool, string, time.Duration and []string (names separated by commas; the flag may be repeated).
type settings struct {
	Specs           string        `env:"WITH_CREDS" flag:"credential,c" usage:"issue what SPEC says; repeatable" arg:"SPEC" multi:"lines"`
	Config          string        `env:"WITH_CREDS_CONFIG" flag:"config" usage:"read settings and specs from the dotenv FILE" arg:"FILE"`
	Session         string        `env:"WITH_CREDS_SESSION" flag:"session" usage:"use the credentials of the session in DIRECTORY, which start issued; for a run without -c" arg:"DIRECTORY"`
	Leash           time.Duration `env:"WITH_CREDS_LEASH, default=5m" flag:"leash" usage:"leave nothing with more life than DURATION while running; 0: no leash" arg:"DURATION"`
	EnvFile         string        `env:"WITH_CREDS_ENV_FILE" flag:"env-file" usage:"write the variables to PATH (auto: a private place) instead of the environment" arg:"PATH"`
	Mask            string        `env:"WITH_CREDS_MASK, default=on" flag:"mask" usage:"on|off: mask secrets in the command's output" arg:"on|off"`
	MaskEnv         []string      `env:"WITH_CREDS_MASK_ENV" flag:"mask-env" usage:"mask the value of the variable NAME too; repeatable" arg:"NAME"`
	OnExpiry        string        `env:"WITH_CREDS_ON_EXPIRY, default=warn" flag:"on-expiry" usage:"warn|kill when a credential held in a variable cannot be extended" arg:"warn|kill"`
	OnRotate        string        `env:"WITH_CREDS_ON_ROTATE" flag:"on-rotate" usage:"send SIGNAL to the command after its files were rewritten" arg:"SIGNAL"`
	Grace           time.Duration `env:"WITH_CREDS_GRACE, default=10s" flag:"grace" usage:"DURATION from the first termination signal, or the command's end for its orphans, to SIGKILL" arg:"DURATION"`
	ReadyTimeout    time.Duration `env:"WITH_CREDS_READY_TIMEOUT, default=30s" flag:"ready-timeout" usage:"wait up to DURATION for a service that does not know a new credential at once (AWS); 0: do not ask" arg:"DURATION"`
	RevokeTimeout   time.Duration `env:"WITH_CREDS_REVOKE_TIMEOUT, default=30s" flag:"revoke-timeout" usage:"retry revocation for DURATION before the guard goes on with it; handing over takes some seconds more" arg:"DURATION"`
	RevokeFailure   string        `env:"WITH_CREDS_REVOKE_FAILURE, default=fail" flag:"revoke-failure" usage:"fail|warn: exit 125 when the command succeeded and revocation is not proven, or only warn" arg:"fail|warn"`
	Receipt         string        `env:"WITH_CREDS_RECEIPT" flag:"receipt" usage:"write the JSON account of the run to FILE" arg:"FILE"`
	AllowEnv        []string      `env:"WITH_CREDS_ALLOW_ENV" flag:"allow-env" usage:"allow binding NAME although it changes how programs load code; repeatable" arg:"NAME"`
	PassEnv         []string      `env:"WITH_CREDS_PASS_ENV" flag:"pass-env" usage:"let the command inherit NAME, a secret of with-creds' own or what a client would log in with instead; repeatable" arg:"NAME"`
	VaultAuth       string        `env:"WITH_CREDS_VAULT_AUTH" flag:"vault-auth" usage:"log in to Vault by METHOD: token, approle, jwt, kubernetes, or auto, which looks what there is (default token)" arg:"METHOD"`
	VaultRole       string        `env:"WITH_CREDS_VAULT_ROLE" flag:"vault-role" usage:"log in to Vault as the role NAME" arg:"NAME"`
	VaultMount      string        `env:"WITH_CREDS_VAULT_MOUNT" flag:"vault-mount" usage:"PATH of Vault's auth method, when it is not mounted at its own name" arg:"PATH"`
	VaultAudience   string        `env:"WITH_CREDS_VAULT_AUDIENCE" flag:"vault-audience" usage:"ask GitHub's runner for an id token made out to AUDIENCE, when logging in by jwt" arg:"AUDIENCE"`
	VaultJWTName    string        `env:"WITH_CREDS_VAULT_JWT_VARIABLE" flag:"vault-jwt-variable" usage:"the variable NAME has the token to log in with, when logging in by jwt" arg:"NAME"`
	VaultChildToken bool          `env:"WITH_CREDS_VAULT_CHILD_TOKEN" flag:"vault-child-token" usage:"make a token of the run's own from the one at hand (one more round trip)"`
	Quiet           bool          `env:"WITH_CREDS_QUIET" flag:"quiet" usage:"no line when credentials are issued and revoked"`
	Verbose         bool          `env:"WITH_CREDS_VERBOSE" flag:"verbose" usage:"say what is done, step by step"`
	LogFormat       string        `env:"WITH_CREDS_LOG_FORMAT, default=text" flag:"log-format" usage:"with-creds' own lines on stderr as text|json" arg:"text|json"`
}

// withoutFlag are the settings that providers read under a name of with-creds': secrets, which a flag would show in ps, and what concerns one provider alone.
var withoutFlag = []string{
	"WITH_CREDS_COMMAND_ENV", "WITH_CREDS_COMMAND_TIMEOUT",
	"WITH_CREDS_GITHUB_APP_ID", "WITH_CREDS_GITHUB_PRIVATE_KEY", "WITH_CREDS_GITHUB_PRIVATE_KEY_FILE", "WITH_CREDS_GITHUB_TRANSIT_KEY",
	"WITH_CREDS_MYSQL_URL", "WITH_CREDS_POSTGRES_URL",
	"WITH_CREDS_VAULT_ROLE_ID", "WITH_CREDS_VAULT_ROLE_ID_FILE",
	"WITH_CREDS_VAULT_SECRET_ID", "WITH_CREDS_VAULT_SECRET_ID_FILE",
	"WITH_CREDS_VAULT_WRAPPED_SECRET_ID", "WITH_CREDS_VAULT_WRAPPED_SECRET_ID_FILE",
	"WITH_CREDS_VAULT_JWT", "WITH_CREDS_VAULT_JWT_FILE",
}

// settingNames are all names of settings of with-creds' own.
func settingNames() []string {
	names := slices.Clone(withoutFlag)
	for _, f := range fields() {
		names = append(names, f.env)
	}
	return names
}

// isSetting reports whether a name that begins with WITH_CREDS is that of a setting; a preset's, and a variable's for a provider's program, end as one likes.
func isSetting(name string) bool {
	return slices.Contains(settingNames(), name) || strings.HasPrefix(name, "WITH_CREDS_PRESET_") || strings.HasPrefix(name, "WITH_CREDS_COMMAND_ENV_")
}

func notASetting(name string) error {
	return fmt.Errorf("%s is not a setting%s", name, nearest.DidYouMean(name, settingNames()))
}

// misspelt are the names in an environment that somebody took for settings. What with-creds sets for a command, and its Jenkins library for itself, is none, nor are
// names of the tests of with-creds.
func misspelt(env map[string]string) []string {
	var names []string
	for name := range env {
		ours := name == guard.RunVariable || strings.HasPrefix(name, "WITH_CREDS_JENKINS_") || strings.HasPrefix(name, "WITH_CREDS_TEST_")
		if strings.HasPrefix(name, "WITH_CREDS_") && !ours && !isSetting(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// choices lists what the settings that are words may be.
var choices = map[string][]string{
	"mask":           {"on", "off"},
	"on-expiry":      {"warn", "kill"},
	"revoke-failure": {"fail", "warn"},
	"log-format":     {"text", "json"},
}

// field is one setting as its struct tags define it.
type field struct {
	reflect.StructField
	env, flag, alias string
}

// fields reads the definitions off the struct.
func fields() []field {
	var all []field
	for _, f := range reflect.VisibleFields(reflect.TypeFor[settings]()) {
		env, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		flag, alias, _ := strings.Cut(f.Tag.Get("flag"), ",")
		all = append(all, field{f, env, flag, alias})
	}
	return all
}

// repeats reports whether the flag may be given several times.
func (f field) repeats() bool { return f.Type.Kind() == reflect.Slice || f.Tag.Get("multi") != "" }

// separator joins the values of a repeated flag into what the environment variable would hold.
func (f field) separator() string {
	if f.Tag.Get("multi") == "lines" {
		return "\n"
	}
	return ","
}

// flags are the command line's spellings. Their values go through the same parser as the environment's, so they are all
// strings here; defaults are shown, not set, so that an unset flag does not hide an environment variable.
func flags() []cli.Flag {
	var all []cli.Flag
	for _, f := range fields() {
		usage := f.Tag.Get("usage")
		if _, def, ok := strings.Cut(f.Tag.Get("env"), "default="); ok {
			usage += " (default " + def + ")"
		}
		var aliases []string
		if f.alias != "" {
			aliases = []string{f.alias}
		}
		if arg := f.Tag.Get("arg"); arg != "" {
			usage = strings.Replace(usage, arg, "`"+arg+"`", 1) // the library's mark of a placeholder
		}
		switch {
		case f.Type.Kind() == reflect.Bool:
			all = append(all, &cli.BoolFlag{Name: f.flag, Aliases: aliases, Usage: usage, DisableDefaultText: true})
		case f.repeats():
			all = append(all, &cli.StringSliceFlag{Name: f.flag, Aliases: aliases, Usage: usage})
		default:
			all = append(all, &cli.StringFlag{Name: f.flag, Aliases: aliases, Usage: usage})
		}
	}
	return all
}

// flagLayer is what was said on the command line, by environment name. Nothing that was not said is in it.
func flagLayer(c *cli.Context) map[string]string {
	said := map[string]string{}
	for _, f := range fields() {
		if !c.IsSet(f.flag) {
			continue
		}
		switch {
		case f.Type.Kind() == reflect.Bool:
			said[f.env] = fmt.Sprint(c.Bool(f.flag))
		case f.repeats():
			said[f.env] = strings.Join(c.StringSlice(f.flag), f.separator())
		default:
			said[f.env] = c.String(f.flag)
		}
	}
	return said
}

// layers looks a name up in each map in turn, strongest first. An empty value counts as not set: an empty
// WITH_CREDS_LEASH in a CI's settings page must not mean "no leash".
type layers []map[string]string

func (l layers) Lookup(name string) (string, bool) {
	for _, m := range l {
		if v := m[name]; v != "" {
			return v, true
		}
	}
	return "", false
}

// load reads and judges the settings. An error names the setting in the spelling that flags and variables share.
func load(ctx context.Context, from envconfig.Lookuper) (settings, error) {
	var s settings
	for _, f := range fields() { // one at a time: the library's errors name the struct's field and quote the value
		v, ok := from.Lookup(f.env)
		if !ok {
			continue
		}
		probe := reflect.New(reflect.StructOf([]reflect.StructField{{
			Name: f.Name, Type: f.Type, Tag: f.Tag,
		}}))
		if err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: probe.Interface(), Lookuper: from}); err != nil {
			return s, fmt.Errorf("--%s (%s): %q is not %s", f.flag, f.env, v, kind(f.Type))
		}
	}
	if err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: &s, Lookuper: from}); err != nil {
		return s, err
	}
	return s, s.judge()
}

func kind(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 90s, 5m or 1h"
	case t.Kind() == reflect.Bool:
		return "true or false"
	}
	return "a " + t.Kind().String()
}

// judge refuses what parses and yet makes no sense.
func (s settings) judge() error {
	v := reflect.ValueOf(s)
	for _, f := range fields() {
		if names, ok := v.FieldByIndex(f.Index).Interface().([]string); ok {
			for _, name := range names {
				if !spec.IsName(name) { // it is not repeated: it may be the value
					return fmt.Errorf("--%s (%s): what is given is not the name of a variable: write NAME, not $NAME; of several NAME,NAME", f.flag, f.env)
				}
			}
		}
		if allowed := choices[f.flag]; allowed != nil && !slices.Contains(allowed, v.FieldByIndex(f.Index).String()) {
			return fmt.Errorf("--%s (%s): %q is not one of %s", f.flag, f.env, v.FieldByIndex(f.Index), strings.Join(allowed, ", "))
		}
		if d, ok := v.FieldByIndex(f.Index).Interface().(time.Duration); ok && d < 0 {
			return fmt.Errorf("--%s (%s): %s is negative", f.flag, f.env, d)
		}
	}
	if s.Leash > 0 && s.Leash < 5*time.Second {
		return fmt.Errorf("--leash (WITH_CREDS_LEASH): %s is too short to be renewed in time; at least 5s, or 0 for none", s.Leash)
	}
	return nil
}
