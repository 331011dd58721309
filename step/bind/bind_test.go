package bind

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/step/spec"
	"pgregory.net/rapid"
)

// parse reads specs, one a line.
func parse(t testing.TB, text string) []spec.Spec {
	t.Helper()
	all, err := spec.ParseAll(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// issued is a credential with fields written name=value; one whose name begins with ! is secret.
func issued(fields ...string) providers.Credential {
	var c providers.Credential
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		bare := strings.TrimPrefix(name, "!")
		c.Fields = append(c.Fields, providers.Field{Name: bare, Value: value, Secret: bare != name})
	}
	return c
}

// show prints values with what is in them, which their String does not.
func show(values []Value) string {
	var lines []string
	for _, v := range values {
		line := v.Name + "=" + v.Value
		if v.File {
			line = v.Name + "=@" + v.Value
		}
		if v.Secret {
			line += " (secret)"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestBindGivesTheCommandWhatTheSpecAsksFor(t *testing.T) {
	database := issued("username=v-1", "!password=p@ss/w")
	for _, c := range []struct {
		spec string
		c    providers.Credential
		want string
	}{
		{"vault:database/creds/readonly as=postgres", database, "PGUSER=v-1\nPGPASSWORD=p@ss/w (secret)"},
		{"postgres:readonly as=postgres", issued("username=u", "!password=p", "host=/run", "port=5433", "database=d", "sslmode=disable"),
			"PGUSER=u\nPGPASSWORD=p (secret)\nPGHOST=/run\nPGPORT=5433\nPGDATABASE=d\nPGSSLMODE=disable"},
		{"postgres:readonly as=postgres", issued("username=u", "!password=p", "sslmode=verify-full", "sslrootcert=/ca", "sslnegotiation=direct", "channel_binding=require",
			"target_session_attrs=read-write"),
			"PGUSER=u\nPGPASSWORD=p (secret)\nPGSSLMODE=verify-full\nPGSSLROOTCERT=/ca\nPGSSLNEGOTIATION=direct\nPGCHANNELBINDING=require\nPGTARGETSESSIONATTRS=read-write"},
		{"vault:database/creds/app as=mysql A=username", issued("username=v-1", `!password=a"b\c'#`),
			"MYSQL_USER=v-1\nMYSQL_PWD=a\"b\\c'# (secret)\nMYSQL_TEST_LOGIN_FILE=/nonexistent\nMYSQL_DEFAULTS_FILE=@[client]\nuser=\"v-1\"\npassword=\"a\\\"b\\\\c\\'#\"\n (secret)\nA=v-1"},
		{"vault:database/creds/app DATABASE_URL='postgres://{username}:{password|url}@db/app' KEY=@password U='{username}{{'", database,
			"DATABASE_URL=postgres://v-1:p%40ss%2Fw@db/app (secret)\nKEY=@p@ss/w (secret)\nU=v-1{"},
		{"vault:a/b BASIC='{password} {username}'", database, "BASIC=p@ss/w v-1 (secret)"},
		{"vault:database/creds/readonly", database, "READONLY_USERNAME=v-1\nREADONLY_PASSWORD=p@ss/w (secret)"},
		{"vault:kv/data/r?server=r.example as=docker", issued("server=r.example", "username=u", `!password=p"`), "DOCKER_CONFIG=@{\"auths\":{\"r.example\":{\"auth\":\"dTpwIg==\"}}}\n (secret)\nREGISTRY_AUTH_FILE=@{\"auths\":{\"r.example\":{\"auth\":\"dTpwIg==\"}}}\n (secret)"},
		{"vault:kv/data/n as=npm", issued("server=https://n.example:8443/npm", `!token=a"b;c`), "NPM_CONFIG_USERCONFIG=@//n.example:8443/npm/:_authToken=\"a\\\"b;c\"\n (secret)"},
		{"vault:artifactory/token/n as=npm", issued("server=n.example", "!access_token=t"), "NPM_CONFIG_USERCONFIG=@//n.example/:_authToken=\"t\"\n (secret)"},
		{"vault:kv/data/my-app.v2/", issued("!tls.crt=c", "!db password=p", "é=x"), "MY_APP_V2_TLS_CRT=c (secret)\nMY_APP_V2_DB_PASSWORD=p (secret)\nMY_APP_V2__=x"},
		{"'command:./bin/mint-token.sh --scope a/b'", issued("!token=t"), "MINT_TOKEN_SH_TOKEN=t (secret)"},
		{"vault:a/2fa", issued("!code=1"), "_2FA_CODE=1 (secret)"},
		{"command:/", issued("!x=1"), "COMMAND_X=1 (secret)"},
		{"command:../..", issued("!x=1"), "COMMAND_X=1 (secret)"},
		{"vault:x A=@key", issued("!key=nul\x00in a file"), "A=@nul\x00in a file (secret)"},
	} {
		s := parse(t, c.spec)[0]
		if err := Check([]spec.Spec{s}, Options{}); err != nil {
			t.Errorf("%s: %v", c.spec, err)
		}
		values, err := Bind(s, c.c, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		if got := show(values); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.spec, got, c.want)
		}
	}
}

func TestHostAndPortMeanTheSameToAPresetHoweverTheyAreWritten(t *testing.T) {
	for preset, want := range map[string]string{
		"postgres": "PGHOST=db\nPGPORT=99", "mysql": "MYSQL_HOST=db\nMYSQL_TCP_PORT=99", "mssql": "SQLCMDSERVER=db,99\nSQLCMDDBNAME=d\nMSSQL_URL=sqlserver://u:p@db:99?database=d",
		"redis": "REDIS_URL=redis://u:p@db:99", "rabbitmq": "AMQP_URL=amqp://u:p@db:99", "mongodb": "MONGODB_URI=mongodb://u:p@db:99/d?authSource=admin",
		"oracle": "ORACLE_URL=oracle://u:p@db:99/d",
	} {
		s := parse(t, "vault:a as="+preset+" MINE='{username}@{host}'")[0]
		var both []string
		for host, fields := range map[string][]string{"db:99": {"host=db:99"}, "db": {"port=99", "host=db"}} {
			values, err := Bind(s, issued(append(fields, "username=u", "password=p", "database=d")...), Options{})
			got := show(values)
			if err != nil || !strings.Contains(got, want+"\n") || !strings.Contains(got, "MINE=u@"+host) {
				t.Errorf("as=%s with %q: %v\n%s\nwant\n%s", preset, fields, err, got, want)
			}
			both = append(both, strings.TrimSuffix(got, "MINE=u@"+host))
		}
		if both[0] != both[1] {
			t.Errorf("as=%s: %s\nand\n%s", preset, both[0], both[1])
		}
	}
	values, err := Bind(parse(t, "vault:a as=mssql")[0], issued("username=u", "password=p", "host=db"), Options{})
	if err != nil || !strings.Contains(show(values), "SQLCMDSERVER=db\n") && !strings.HasSuffix(show(values), "SQLCMDSERVER=db") {
		t.Errorf("without a port: %v, %s", err, show(values))
	}
}

func TestWhatAPresetAddsToAListOfTheParentsGoesBehindIt(t *testing.T) {
	served := issued("served:git-key=key", "served:git-helper=helper", "served:git-header=header")
	for _, c := range []struct{ parent, want string }{
		{"", "COUNT=3 KEY_0=key VALUE_0= KEY_1=key VALUE_1=helper KEY_2=header VALUE_2="},
		{"COUNT=1 KEY_0=a VALUE_0=b KEY_1=idle VALUE_1=idle", "KEY_0=a VALUE_0=b COUNT=4 KEY_1=key VALUE_1= KEY_2=key VALUE_2=helper KEY_3=header VALUE_3="},
		{"COUNT=2 KEY_0=a VALUE_0= KEY_1=c", "KEY_0=a VALUE_0= COUNT=4 KEY_1=key VALUE_1= KEY_2=key VALUE_2=helper KEY_3=header VALUE_3="},
		{"COUNT=2000000000", "COUNT=3 KEY_0=key VALUE_0= KEY_1=key VALUE_1=helper KEY_2=header VALUE_2="},
		{"COUNT=-1", "COUNT=3 KEY_0=key VALUE_0= KEY_1=key VALUE_1=helper KEY_2=header VALUE_2="},
		{"COUNT=many", "COUNT=3 KEY_0=key VALUE_0= KEY_1=key VALUE_1=helper KEY_2=header VALUE_2="},
	} {
		parent := issued(strings.Fields(c.parent)...)
		o := Options{Parent: func(name string) (string, bool) {
			f, ok := parent.Field(strings.TrimPrefix(name, "GIT_CONFIG_"))
			return f.Value, ok
		}}
		values, err := Bind(parse(t, "vault:a as=git")[0], served, o)
		got := strings.ReplaceAll(strings.ReplaceAll(show(values), "GIT_CONFIG_", ""), "\n", " ")
		if err != nil || got != c.want+" GIT_TERMINAL_PROMPT=0" {
			t.Errorf("behind %q: %v\n%s\nwant\n%s", c.parent, err, got, c.want)
		}
	}
}

func TestBindRefusesAndNeverShowsAValue(t *testing.T) {
	const secret = "h1dd3n"
	for _, c := range []struct {
		spec string
		c    providers.Credential
		want string
	}{
		{"vault:a/b X=pasword Y=username", issued("username="+secret, "!password="+secret),
			`vault:a/b: binding X: there is no field pasword (did you mean "password"?); the credential has username, password`},
		{"vault:a/b as=postgres", issued("!access_key=" + secret), "binding PGUSER: there is no field username; the credential has access_key\nvault:a/b: binding PGPASSWORD"},
		{"vault:a/b X=y", issued(), "the credential has none"},
		{"vault:a/b X=y", issued("e\x1b[31m=" + secret), `the credential has "e\x1b[31m"`},
		{"vault:a/b X=y", issued(strings.Repeat("n", 200) + "=" + secret), strings.Repeat("n", 60) + "…"},
		{"vault:a/b X=k", issued("!k=" + secret + "\x00"), "binding X: the value holds a NUL"},
		{"vault:a/b X=k", issued("!k=" + strings.Repeat(secret, 1<<15)), "binding X: the value is longer"},
		{"vault:a/b X='{k|json}'", issued("!k=" + secret + "\xff"), "binding X: field \"k\", filter json"},
		{"vault:a/b as=docker", issued("server=r", "username=a:b", "!password="+secret), "made:basic-auth: the user name has a colon"},
		{"vault:a/b as=docker", issued("server=r", "!token="+secret), "made:basic-auth: it is made of the fields username and password"},
		{"vault:a/b as=docker", issued("username=u", "!password="+secret), "there is no field server"},
		{"vault:a/b as=npm", issued("!token=" + secret), "made:npm-registry: it is made of the field server, which is not there: name the registry with ?server="},
		{"vault:a/b as=npm", issued("server=r\nregistry="+secret, "!token="+secret), "server must be a registry's host"},
		{"vault:a/b", issued(), "no fields to bind"},
		{"vault:a/b", issued("a.b="+secret, "a_b="+secret), "the fields a.b and a_b would both be named B_A_B"},
		{"vault:a/ld", issued("preload=" + secret), "LD_PRELOAD, which decides which programs and libraries are loaded"},
		{"vault:a/git", issued("ssh.command=" + secret), "GIT_SSH_COMMAND"},
		{"vault:a/https", issued("proxy=" + secret), "HTTPS_PROXY, which decides whom"},
		{"vault:a/with", issued("creds_leash=" + secret), "WITH_CREDS_LEASH cannot be bound"},
	} {
		s := parse(t, c.spec)[0]
		// --allow-env is for names that a person wrote: it must not admit a server's.
		values, err := Bind(s, c.c, Options{AllowEnv: []string{"LD_PRELOAD", "GIT_SSH_COMMAND", "WITH_CREDS_LEASH"}})
		switch {
		case err == nil || values != nil:
			t.Errorf("%s is bound", c.spec)
		case !strings.Contains(err.Error(), c.want):
			t.Errorf("%s:\n%v\nwant\n%s", c.spec, err, c.want)
		case strings.Contains(err.Error(), secret):
			t.Errorf("%s shows a value: %v", c.spec, err)
		}
	}
}

// Whatever a server calls its fields, the names made of them are legal, not ours, and load no code.
func TestDefaultNamesAreSafeWhateverTheServerSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fieldName := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"preload", "ssh_command", "options", "proxy", "OPT", "creds", "env", "é-x", ""}))
		last := rapid.SampledFrom([]string{"ld", "git", "node", "python", "https", "with", "bash", "9", "-", "a b", "é"}).Draw(rt, "path")
		var c providers.Credential
		for range rapid.IntRange(1, 3).Draw(rt, "fields") {
			c.Fields = append(c.Fields, providers.Field{Name: fieldName.Draw(rt, "field"), Value: "v"})
		}
		values, err := Bind(spec.Spec{Request: providers.Request{Provider: "vault", Path: "kv/" + last}}, c, Options{})
		if err != nil {
			return
		}
		for _, v := range values {
			_, code := changesCode(v.Name)
			_, steering := steers(v.Name)
			if !spec.IsName(v.Name) || code || steering || reserved(v.Name) || v.Name != strings.ToUpper(v.Name) {
				rt.Errorf("%v is bound to %s", c, v.Name)
			}
		}
	})
}

func TestANameBoundTwiceAfterIssuingIsRefused(t *testing.T) {
	o := Options{}
	specs := parse(t, "vault:a/app\nvault:b/app\npostgres:r as=postgres\nvault:kv/x PGHOST=host")
	if err := Check(specs, o); err != nil {
		t.Fatalf("refused before it can be known: %v", err)
	}
	var all [][]Value
	for i, c := range []providers.Credential{issued("k=1"), issued("k=2"), issued("username=u", "password=p", "host=h"), issued("host=h")} {
		values, err := Bind(specs[i], c, o)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, values)
	}
	if err := Together(all[0], all[2]); err != nil {
		t.Error(err)
	}
	err := Together(all...)
	if err == nil || !strings.Contains(err.Error(), "APP_K is bound twice") || !strings.Contains(err.Error(), "PGHOST is bound twice") {
		t.Errorf("got %v", err)
	}
}

func TestAValuePrintsAsItsNameOnly(t *testing.T) {
	secret := fmt.Sprintf("s%d", rand.Uint64())
	values := []Value{{Name: "A", Value: secret, Secret: true}, {Name: "B", Value: secret, File: true}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(format, values); strings.Contains(got, secret) {
			t.Errorf("%s prints %s", format, got)
		}
	}
}

func TestOfAPresetsAlternativesTheFirstThatFitsIsBound(t *testing.T) {
	o := Options{Presets: map[string]string{"mine": "A=x? A=y? A==z? B=x?"}}
	for _, c := range []struct{ fields, want string }{{"x=1 y=2", "A=1\nB=1"}, {"y=2", "A=2"}, {"w=3", "A=z"}} {
		values, err := Bind(parse(t, "vault:a as=mine")[0], issued(strings.Fields(c.fields)...), o)
		if err != nil || show(values) != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.fields, show(values), err, c.want)
		}
	}
	if _, err := Bind(parse(t, "vault:a as=mine A=x")[0], issued("x=1"), o); err == nil {
		t.Error("a name is bound by the preset and by the spec")
	}
}

func TestAFieldThatWithCredsWouldAddMustBeOneItKnows(t *testing.T) {
	err := Check(parse(t, "vault:a S=served:ssh-agnet\nvault:b P=@made:nothing"), Options{})
	if err == nil || !strings.Contains(err.Error(), `did you mean "served:ssh-agent"`) || !strings.Contains(err.Error(), "made:nothing") {
		t.Errorf("got %v", err)
	}
	names, err := Added(parse(t, "vault:a as=pki-pkcs12 X=username")[0], Options{})
	if err != nil || strings.Join(names, " ") != "made:pkcs12 made:pkcs12-password" {
		t.Errorf("got %q, %v", names, err)
	}
}

func TestWhatIsServedIsKnownToFollowARotation(t *testing.T) {
	values, err := Bind(parse(t, "vault:a S=served:ssh-agent U=username M='{username} {served:ssh-agent}'")[0], issued("username=u", "served:ssh-agent=/s"), Options{})
	if err != nil || len(values) != 3 || !values[0].Lasts || values[1].Lasts || values[2].Lasts {
		t.Errorf("got %+v, %v", values, err)
	}
}
