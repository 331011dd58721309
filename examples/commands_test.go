//go:build linux

package examples_test

import (
	"bytes"
	"crypto/rand"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness"
)

func TestEveryCommandOfTheDocumentsRuns(t *testing.T) {
	readme := blocks(read(t, "README.md"))
	pg, my, vault := harness.Postgres(t), harness.MariaDB(t, harness.MariaDBSetting("event-scheduler", "ON")), harness.Vault(t)
	vault.EnablePostgres(pg)
	vault.Mount("kv", "kv-v2")
	vault.Write("kv/data/app", map[string]any{"data": map[string]any{"token": rand.Text()}})
	// What the README says must be there is made by what it says, the least policy included.
	pg.Exec("postgres", "create database shop")
	pg.Exec("shop", "create table orders (id int); insert into orders select generate_series(1, 10)")
	my.Exec("create database shop; create table shop.orders (id int); insert into shop.orders values (1), (2)")
	admin, sql := rand.Text(), those(t, readme, "sql", 2)
	pg.Exec("shop", sql[0])
	pg.Exec("shop", fmt.Sprintf("alter role ci_admin password '%s'", admin))
	my.Exec(strings.Replace(sql[1], "identified by '…'", "identified by '"+admin+"'", 1))
	vault.Policy("readme", those(t, readme, "hcl", 1)[0])
	vault.Policy("kv", `path "kv/data/app" { capabilities = ["read"] }`)
	roleID, secretID := vault.AppRole("readme", map[string]any{"token_policies": "readme,kv"})

	home, bin := t.TempDir(), build(t)
	if err := os.WriteFile(filepath.Join(home, "report.py"), []byte(read(t, "examples/python/report.py")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "secret-id"), []byte(secretID), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"PATH=" + bin + ":" + python(t) + ":" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C", "ROLE_ID=" + roleID,
		"VAULT_ADDR=" + vault.Addr, "VAULT_TOKEN=" + vault.Token("readme", "kv"), "PGPORT=" + strconv.Itoa(pg.Port),
		"WITH_CREDS_POSTGRES_URL=" + pg.URL("ci_admin", admin, "shop"), "WITH_CREDS_MYSQL_URL=" + my.URL("ci_admin", admin, ""),
	}
	// A GitHub App and a service that sells tokens.
	gh, tokens := harness.GitHub(t), harness.Tokens(t)
	account := tokens.Account()
	gh.Repository("acme", "app")
	mint, err := os.ReadFile(filepath.Join(root, "examples/command/mint.sh"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "mint.sh"), mint, 0o700); err != nil {
		t.Fatal(err)
	}
	env = append(env, "GITHUB_API_URL="+gh.API(), "GITHUB_SERVER_URL="+gh.URL, "WITH_CREDS_GITHUB_APP_ID="+gh.AppID, "WITH_CREDS_GITHUB_PRIVATE_KEY="+gh.Key,
		"TOKENS_URL="+tokens.URL, "WITH_CREDS_COMMAND_ENV=TOKENS_URL,TOKENS_KEY", "WITH_CREDS_COMMAND_ENV_TOKENS_KEY="+account.APIKey)

	// What is not as written: where the servers are, and that MariaDB calls its program by its own name.
	place := strings.NewReplacer("-h db ", "-h "+pg.Host+" ", "PGHOST=db ", "PGHOST="+pg.Host+" ", "https://github.com/", gh.URL+"/", "mysqldump ", "mariadb-dump ")

	ran := 0
	for _, document := range documents {
		all := blocks(read(t, document))
		for i, b := range all {
			if b.language != "sh" {
				continue
			}
			ran++
			t.Run(fmt.Sprintf("%s:%d", document, b.line), func(t *testing.T) {
				c := exec.Command("bash", "-euo", "pipefail", "-c", place.Replace(b.text))
				var stderr bytes.Buffer
				c.Dir, c.Env, c.Stderr = home, env, &stderr
				out, err := c.Output()
				if err != nil {
					t.Fatalf("%s%v\n%s%s", b.text, err, out, stderr.String())
				}
				if i+1 < len(all) && all[i+1].language == "text" {
					if want := all[i+1].text; string(out) != want {
						t.Errorf("%sprints\n%sand is shown to print\n%s", b.text, out, want)
					}
				} else if !regexp.MustCompile(`(?m)^with-creds: revoked .* proven`).Match(stderr.Bytes()) {
					t.Errorf("%sproves no revocation:\n%s", b.text, stderr.String())
				}
				if warned := regexp.MustCompile(`.*(GRANT|by itself).*`).FindString(stderr.String()); warned != "" {
					t.Errorf("%swhat it says is to be granted does not suffice: %s", b.text, warned)
				}
				if logins := slices.Concat(pg.Roles("wc_"), pg.Roles("v-"), my.Users("wc_")); len(logins) != 0 {
					t.Errorf("logins are left: %q", logins)
				}
				if left := append(gh.Live(), account.Live()...); len(left) != 0 {
					t.Errorf("tokens are left: %q", left)
				}
				if leases := vault.Leases("database/creds"); len(leases) != 0 {
					t.Errorf("leases are left: %q", leases)
				}
			})
		}
	}
	if ran < 6 {
		t.Errorf("only %d commands were found in the documents", ran)
	}
}

// those are the texts of the blocks in a language, of which the document must have so many.
func those(t *testing.T, all []block, language string, n int) []string {
	t.Helper()
	var texts []string
	for _, b := range all {
		if b.language == language {
			texts = append(texts, b.text)
		}
	}
	if len(texts) != n {
		t.Fatalf("the document has %d blocks of %s, not %d", len(texts), language, n)
	}
	return texts
}

// A binary that asks for the C library of the machine it was built on is no use in the container of a build.
func TestMakeBuildMakesAStaticBinary(t *testing.T) {
	dry := exec.Command("make", "--no-print-directory", "-n", "build")
	dry.Dir = root
	dry.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS") }) // of a make that runs this test
	recipe, err := dry.Output()
	if err != nil {
		t.Fatalf("make -n build: %v", err)
	}
	dir := t.TempDir()
	c := exec.Command("sh", "-ec", strings.Replace(string(recipe), "-o with-creds ", "-o "+dir+"/with-creds ", 1))
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s%v\n%s", recipe, err, out)
	}
	file, err := elf.Open(filepath.Join(dir, "with-creds"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if needed, err := file.ImportedLibraries(); err != nil || len(needed) != 0 {
		t.Errorf("the binary needs %q (%v)", needed, err)
	}
}

// build makes the binary and returns its directory.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	c := exec.Command("go", "build", "-o", dir, "./cmd/with-creds")
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("building with-creds: %v\n%s", err, out)
	}
	return dir
}
