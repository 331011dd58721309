package bind

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/spec"
)

func TestCheckRefusesBeforeAnythingIsIssued(t *testing.T) {
	o := Options{
		Presets:  map[string]string{"mine": "API_URL='https://{user}@x' API_KEY=key?", "bad-idea": "PATH=path"},
		AllowEnv: []string{"NODE_OPTIONS"},
		Fields: func(r providers.Request) (always, sometimes []string) {
			if r.Provider == "foreseen" {
				return []string{"username", "password"}, []string{"port"}
			}
			return nil, nil
		},
	}
	for _, c := range []struct {
		specs string
		want  []string // parts of the error; none: accepted
	}{
		{"vault:a as=postgres\nvault:b as=mysql\nvault:c as=mine\nvault:d\nvault:e HTTPS_PROXY='http://{u}:{p|url}@proxy' KUBECONFIG=@config GITHUB_TOKEN=token", nil},
		{"vault:a NODE_OPTIONS=x", nil},
		{"vault:a as=postgre", []string{`vault:a: there is no preset "postgre" (did you mean "postgres"?); there are aws, aws-endpoint, azure, bad-idea, cassandra,`}},
		{"vault:a as=bad-idea", []string{"PATH is not bound because it decides which programs and libraries are loaded; --allow-env PATH admits it"}},
		{"vault:a PATH=x\nvault:b LD_PRELOAD=x BASH_ENV=x", []string{"vault:a: PATH", "vault:b: LD_PRELOAD", "vault:b: BASH_ENV"}},
		{"vault:a WITH_CREDS=x with_creds_leash=y", []string{"WITH_CREDS cannot", "with_creds_leash cannot"}},
		{"vault:a X=a X=b", []string{"X is already bound by vault:a"}},
		{"vault:a X=a\nvault:b X=b", []string{"vault:b: X is already bound by vault:a"}},
		{"vault:a X=a\nvault:b x=b", nil},
		{"vault:a\nvault:a", []string{"vault:a: is asked for twice, and both would be bound to A_…"}},
		{"vault:a\nvault:b/a\nvault:a?x=y", nil},
		{"foreseen:a A=username B='{password|url}' C=port D=served:ssh-agent", nil},
		{"foreseen:a A=usrname", []string{`foreseen:a: A: there is no field usrname (did you mean "username"?); there are username, password, port`}},
		{"foreseen:a as=postgres", nil}, // what it lacks is optional
		{"foreseen:a as=aws", []string{"foreseen:a: AWS_ACCESS_KEY_ID: there is no field access_key"}},
		{"foreseen:a\nforeseen:b/a", []string{"foreseen:b/a: A_USERNAME, A_PASSWORD are already bound by foreseen:a", "A_PASSWORD"}},
		{"foreseen:a\nvault:b A_USERNAME=x", []string{"vault:b: A_USERNAME is already bound by foreseen:a"}},
		{"foreseen:a\nvault:b A_PORT=x", nil}, // it may have none
		{"vault:a as=postgres PGUSER=u", []string{"PGUSER is already bound"}},
		{"vault:a as=postgres\nvault:b?cn=h1dd3n as=postgres", []string{"vault:b: PGUSER, PGPASSWORD are already bound by vault:a; give one"}},
		{"vault:a as=git\nvault:b as=git", []string{"GIT_TERMINAL_PROMPT are already bound by vault:a; one run serves one git host"}},
	} {
		err := Check(parse(t, c.specs), o)
		if c.want == nil {
			if err != nil {
				t.Errorf("%s\nis refused: %v", c.specs, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s\nis accepted", c.specs)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s\nis answered with\n%v\nwant\n%s", c.specs, err, want)
			}
		}
		if strings.Contains(err.Error(), "h1dd3n") {
			t.Errorf("%s\nshows a parameter: %v", c.specs, err)
		}
	}
}

func TestAPresetOfOnesOwnIsJudgedEvenUnused(t *testing.T) {
	for name, bindings := range map[string]string{"mine": "A=b|url", "empty": "", "Upper": "A=b"} {
		err := Check(nil, Options{Presets: map[string]string{name: bindings}})
		if err == nil || !strings.Contains(err.Error(), "preset "+name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAPresetOfOnesOwnTakesTheBuiltInsPlace(t *testing.T) {
	o := Options{Presets: map[string]string{"postgres": "DB_USER=username"}}
	values, err := Bind(parse(t, "vault:a as=postgres")[0], issued("username=u", "password=p"), o)
	if err != nil || show(values) != "DB_USER=u" {
		t.Errorf("got %v, %v", values, err)
	}
}

func TestNamesThatLoadCodeAreRefusedUnlessAllowed(t *testing.T) {
	names := strings.Fields(`PATH LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT DYLD_INSERT_LIBRARIES BASH_ENV ENV IFS PS4 SHELLOPTS BASHOPTS PROMPT_COMMAND
		NODE_OPTIONS NODE_PATH PYTHONPATH PYTHONSTARTUP PYTHONHOME PERL5LIB PERL5OPT RUBYOPT RUBYLIB JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS
		GIT_SSH GIT_SSH_COMMAND GIT_PROXY_COMMAND GIT_ASKPASS GIT_CONFIG_COUNT GIT_CONFIG_KEY_0 GIT_CONFIG_GLOBAL GIT_EXEC_PATH EDITOR PAGER GIT_PAGER
		HOME XDG_CONFIG_HOME TMPDIR OPENSSL_CONF GLIBC_TUNABLES GCONV_PATH RUSTC_WRAPPER GOFLAGS MAKEFLAGS CC MAVEN_OPTS DOTNET_STARTUP_HOOKS
		PSQLRC PSQL_PAGER GITHUB_ENV GITHUB_PATH npm_config_script_shell NPM_CONFIG_USERCONFIG ld_preload SSLKEYLOGFILE`)
	for _, name := range names {
		specs := parse(t, "vault:a "+name+"=x")
		if err := Check(specs, Options{}); err == nil || !strings.Contains(err.Error(), "--allow-env "+name) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := Check(specs, Options{AllowEnv: []string{name}}); err != nil {
			t.Errorf("%s is refused though allowed: %v", name, err)
		}
	}
	for _, name := range strings.Fields(`PGPASSWORD DATABASE_URL AWS_ACCESS_KEY_ID AWS_SESSION_TOKEN GITHUB_TOKEN GH_TOKEN GIT_TOKEN GIT_PASSWORD GIT_AUTHOR_NAME NPM_TOKEN
		NODE_AUTH_TOKEN CARGO_REGISTRY_TOKEN VAULT_TOKEN ARM_CLIENT_SECRET GOOGLE_APPLICATION_CREDENTIALS KUBECONFIG SSH_KEY REDISCLI_AUTH MYSQL_PWD PIP_INDEX_URL
		TWINE_PASSWORD HTTPS_PROXY GOPROXY BUILDKITE_API_TOKEN RUNNER_TOKEN PATHNAME MY_PATH HOMEPAGE ENVIRONMENT PSK`) {
		if err := Check(parse(t, "vault:a "+name+"=x"), Options{}); err != nil {
			t.Errorf("a name for a credential is refused: %v", err)
		}
	}
}

func TestTheTablesOfRefusedNamesAreWellFormed(t *testing.T) {
	for _, g := range slices.Concat(codeNames, steeringNames) {
		for _, pattern := range strings.Fields(g.patterns) {
			if _, err := path.Match(pattern, "X"); err != nil || pattern != strings.ToUpper(pattern) || !spec.IsName(strings.ReplaceAll(pattern, "*", "X")) {
				t.Errorf("pattern %s: %v", pattern, err)
			}
		}
	}
}

func TestPresetsAreWellFormed(t *testing.T) {
	logins := strings.Fields("username password session_token security_token client_id client_secret access_token private_key_data token service_account_token " +
		"service_account_namespace service_account_name certificate ca_chain made:npm-registry")
	last := ""
	for _, p := range BuiltIns() {
		if p.Name <= last || !spec.IsPresetName(p.Name) || p.About == "" || p.Clients == "" || parse(t, p.Example)[0].Preset != p.Name || strings.Contains(p.About+p.Clients, "\n") {
			t.Errorf("preset %s: out of order, or without a word about it", p.Name)
		}
		last = p.Name
		bindings, err := spec.ParsePreset(p.Bindings)
		if err != nil {
			t.Fatalf("preset %s: %v", p.Name, err)
		}
		if err := Check(parse(t, "vault:x as="+p.Name), Options{}); err != nil {
			t.Error(err)
		}
		for _, b := range bindings {
			for _, field := range b.Template.Fields() {
				if b.Optional && slices.Contains(whereabouts, field) == slices.Contains(logins, field) {
					t.Errorf("preset %s, %s: is %s who logs in, or where? See whereabouts", p.Name, b.Name, field)
				}
			}
		}
		for _, name := range strings.Fields(p.Drops) {
			if !spec.IsName(name) {
				t.Errorf("preset %s: %s names no variable", p.Name, name)
			}
		}
		for _, b := range bindings {
			if (strings.Contains(b.String(), "{host}") || strings.Contains(b.String(), "{address}")) && !b.Optional {
				t.Errorf("preset %s: %s needs to be told where the server is, so it is optional", p.Name, b.Name)
			}
		}
	}
}

func TestWhatClientsWouldLogInWithInsteadIsNotInherited(t *testing.T) {
	o := Options{Presets: map[string]string{"mine": "API_URL='https://{user}@{host}'? API_HOST=host? API_KEY=key"}}
	for _, c := range []struct{ specs, gone, stays string }{
		{"vault:a X=y\nvault:b", "", "X"},
		{"vault:a as=aws", "AWS_PROFILE AWS_CONTAINER_CREDENTIALS_RELATIVE_URI AWS_SESSION_TOKEN", "AWS_REGION AWS_CONFIG_FILE AWS_CA_BUNDLE"},
		{"vault:a as=aws-endpoint", "AWS_PROFILE AWS_ACCESS_KEY AWS_ROLE_ARN", "AWS_DEFAULT_REGION AWS_CONTAINER_CREDENTIALS_FULL_URI"},
		{"vault:a as=postgres", "PGSERVICE", "PGHOST PGPORT PGDATABASE PGSSLMODE PGSSLROOTCERT PGSSLNEGOTIATION PGCHANNELBINDING PGTARGETSESSIONATTRS"},
		{"vault:a as=postgres-files\nvault:b as=redis", "PGUSER PGPASSWORD REDIS_URL", "PGHOST"},
		{"vault:a as=gcp", "GOOGLE_CREDENTIALS GOOGLE_APPLICATION_CREDENTIALS CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "CLOUDSDK_CORE_PROJECT"},
		{"vault:a as=azure", "AZURE_CLIENT_CERTIFICATE_PATH ARM_CLIENT_SECRET", "AZURE_TENANT_ID ARM_SUBSCRIPTION_ID"},
		{"vault:a as=mongodb\nvault:b as=mssql\nvault:c as=rabbitmq\nvault:d as=oracle", "MONGODB_URI MSSQL_URL AMQP_URL ORACLE_URL", "SQLCMDSERVER SQLCMDDBNAME"},
		{"vault:a as=kubernetes\nvault:b as=ldap", "KUBECONFIG", "LDAPBINDDN"},
		{"vault:a as=mine", "API_URL", "API_HOST"},
	} {
		got := NotInherited(parse(t, c.specs), o)
		for _, name := range strings.Fields(c.gone) {
			if !slices.Contains(got, name) {
				t.Errorf("%s: %s is inherited", c.specs, name)
			}
		}
		for _, name := range strings.Fields(c.stays) {
			if slices.Contains(got, name) {
				t.Errorf("%s: %s is not inherited", c.specs, name)
			}
		}
		if !slices.IsSorted(got) {
			t.Errorf("%s: %q", c.specs, got)
		}
	}
}

func TestPlanIsWhatBindThenDoes(t *testing.T) {
	specs := parse(t, "vault:database/creds/a as=mysql X='{username|url}'\nvault:kv/data/b-c?version=h1dd3n")
	plan, err := Plan(specs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"source":"vault:database/creds/a","preset":"mysql","variables":[` +
		`{"name":"MYSQL_USER","fields":["username"]},{"name":"MYSQL_PWD","fields":["password"]},` +
		`{"name":"MYSQL_HOST","fields":["host"],"optional":true},{"name":"MYSQL_TCP_PORT","fields":["port"],"optional":true},` +
		`{"name":"MYSQL_UNIX_PORT","fields":["socket"],"optional":true},{"name":"MYSQL_DATABASE","fields":["database"],"optional":true},{"name":"MYSQL_TEST_LOGIN_FILE","fields":null},{"name":"MYSQL_DEFAULTS_FILE","file":true,"fields":["username","password"]},` +
		`{"name":"X","fields":["username"]}]},{"source":"vault:kv/data/b-c","every_field":true,"default_prefix":"B_C_"}]`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	values, err := Bind(specs[0], issued("username=u", "!password=p", "host=h", "port=1", "socket=/s", "database=d"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range plan[0].Variables {
		if values[i].Name != v.Name || values[i].File != v.File {
			t.Errorf("planned %v, bound %v", v, values[i])
		}
	}
	if _, err := Plan(parse(t, "vault:a as=nope"), Options{}); err == nil {
		t.Error("an unknown preset is planned")
	}
}
