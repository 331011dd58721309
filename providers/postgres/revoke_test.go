//go:build !windows

package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/with-creds/with-creds/providers"
	"github.com/with-creds/with-creds/testdata/harness"
)

// leftovers are what a command can leave behind, each with a check of what must have become of it.
var leftovers = []struct {
	name  string
	super bool // only a superuser can clear it away
	made  bool // there is something to hand over, and a person is told
	leave func(t *testing.T, s *shop, role string, fields map[string]string)
	check func(t *testing.T, s *shop, role string)
	says  string // more than that there is something to hand over
}{
	{name: "nothing", leave: func(*testing.T, *shop, string, map[string]string) {}},
	{name: "an idle transaction holding locks", leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.must(s.login(fields, "shop"), "begin")
		conn := s.login(fields, "shop")
		if _, err := conn.Exec(t.Context(), "begin"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "insert into orders values (500, 1)"); err != nil {
			t.Fatal(err)
		}
	}, check: func(t *testing.T, s *shop, _ string) {
		var n int
		if s.QueryRow("shop", &n, "select count(*) from orders where id = 500"); n != 0 {
			t.Error("an uncommitted row was committed")
		}
	}},
	{name: "a running query", leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		conn := s.login(fields, "shop")
		go conn.Exec(context.Background(), "select pg_sleep(600)")
		for range 200 {
			var n int
			if s.QueryRow("shop", &n, "select count(*) from pg_stat_activity where usename = $1 and query like '%pg_sleep%' and state = 'active'", role); n == 1 {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatal("the query does not run")
	}},
	{name: "an open cursor", leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		conn := s.login(fields, "shop")
		for _, sql := range []string{"begin", "declare c cursor for select * from orders", "fetch 3 from c"} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{name: "a temporary table", leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.must(s.login(fields, "shop"), "create temp table scratch as select * from orders")
	}},
	{name: "a session that became the group", leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.must(s.login(fields, "shop"), "set role readwrite")
	}},
	{name: "tables, a view, a function and a sequence", made: true, leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.must(s.login(fields, "shop"), `create table report (id serial primary key, note text); insert into report (note) values ('kept');
			create view short as select id from report; create function two() returns int language sql as 'select 2'`)
	}, check: func(t *testing.T, s *shop, _ string) {
		var note string
		if s.QueryRow("shop", &note, "select note from report"); note != "kept" {
			t.Error("the table's content is gone")
		}
		for _, name := range []string{"report", "report_id_seq", "short"} {
			if owner := s.owner("shop", name); owner != "readwrite" {
				t.Errorf("%s belongs to %s", name, owner)
			}
		}
	}},
	{name: "a function that lends its owner's rights", made: true, leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.must(s.login(fields, "shop"), "create function stock.lend() returns bigint language sql security definer as 'select count(*) from public.orders'")
	}, check: func(t *testing.T, s *shop, _ string) {
		var lent bool
		if s.QueryRow("shop", &lent, "select prosecdef and proowner = 'readwrite'::regrole from pg_proc where oid = 'stock.lend'::regproc"); !lent {
			t.Error("the function is not the group's, or lends nothing: the check is void")
		}
		s.Exec("shop", "drop function stock.lend()")
	}, says: "SECURITY DEFINER: stock.lend()"},
	{name: "objects in another schema", made: true, leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.must(s.login(fields, "shop"), "create table stock.shelf (id int)")
	}, check: func(t *testing.T, s *shop, _ string) {
		if owner := s.owner("shop", "stock.shelf"); owner != "readwrite" {
			t.Errorf("stock.shelf belongs to %s", owner)
		}
	}},
	{name: "objects in another database", made: true, leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.must(s.login(fields, "other"), "create table afar (id int)")
	}, check: func(t *testing.T, s *shop, _ string) {
		if owner := s.owner("other", "afar"); owner != "readwrite" {
			t.Errorf("afar belongs to %s", owner)
		}
	}},
	{name: "default privileges", leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.must(s.login(fields, "shop"), "alter default privileges grant select on tables to public")
	}},
	{name: "grants given to it, here and elsewhere", super: true, leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.Exec("shop", "grant select on orders to "+role+"; grant usage on schema stock to "+role+"; grant create on database shop to "+role)
		s.Exec("other", "grant create on schema public to "+role+"; alter default privileges grant select on tables to "+role)
	}, check: func(t *testing.T, s *shop, _ string) {
		var n int
		if s.QueryRow("shop", &n, "select count(*) from orders"); n != 100 {
			t.Errorf("orders has %d rows", n)
		}
	}},
	{name: "grants it gave to others", made: true, leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.must(s.login(fields, "shop"), "create table lent (id int); grant select on lent to readonly")
	}, check: func(t *testing.T, s *shop, _ string) {
		var may bool
		if s.QueryRow("shop", &may, "select has_table_privilege('readonly', 'lent', 'select')"); !may {
			t.Error("a grant the command made is lost")
		}
	}},
	{name: "grants it passed on, of its grantors' things", super: true, leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.Exec("shop", `drop role if exists friend; create role friend nologin; create role lead nologin createrole;
			grant usage on schema stock to lead with grant option; grant select, update (total) on orders to lead with grant option;
			create function stock.count() returns bigint language sql as 'select 1::bigint'; revoke all on function stock.count() from public;
			grant execute on function stock.count() to lead with grant option; grant create on database shop to lead with grant option;
			set role lead; grant usage on schema stock to `+role+` with grant option; grant select, update (total) on orders to `+role+` with grant option;
			grant execute on function stock.count() to `+role+` with grant option; grant create on database shop to `+role+` with grant option`)
		s.must(s.login(fields, "shop"), `grant usage on schema stock to friend; grant select on orders to friend; grant update (total) on orders to public;
			grant execute on function stock.count() to friend; grant create on database shop to friend with grant option`)
	}, check: func(t *testing.T, s *shop, _ string) {
		var left int
		s.QueryRow("shop", &left, "select count(*) from pg_shdepend where refobjid = 'friend'::regrole")
		if left != 0 {
			t.Errorf("whom it gave to has %d of the things still", left)
		}
		var may bool
		if s.QueryRow("shop", &may, "select has_table_privilege('lead', 'orders', 'select')"); !may {
			t.Error("who gave to it has lost it, too")
		}
		s.Exec("shop", "drop function stock.count(); drop owned by lead; drop role lead, friend")
	}},
	{name: "a large object", made: true, leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.must(s.login(fields, "shop"), "select lo_from_bytea(4711, 'kept')")
	}, check: func(t *testing.T, s *shop, _ string) {
		var owner string
		if s.QueryRow("shop", &owner, "select lomowner::regrole::text from pg_largeobject_metadata where oid = 4711"); owner != "readwrite" {
			t.Errorf("the large object belongs to %s", owner)
		}
	}},
	{name: "row policies and settings", made: true, leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.must(s.login(fields, "shop"), "create table guarded (id int); alter table guarded enable row level security; "+
			"create policy mine on guarded to "+role+"; alter role "+role+" set work_mem = '8MB'")
	}},
	{name: "a schema and a type", made: true, leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		s.Exec("shop", "grant create on database shop to readwrite")
		s.must(s.login(fields, "shop"), "create schema drawer; create type drawer.size as enum ('s', 'l'); create domain drawer.plus as int check (value > 0)")
	}, check: func(t *testing.T, s *shop, _ string) {
		var owner string
		if s.QueryRow("shop", &owner, "select nspowner::regrole::text from pg_namespace where nspname = 'drawer'"); owner != "readwrite" {
			t.Errorf("the schema belongs to %s", owner)
		}
	}},
	{name: "a prepared transaction", leave: func(t *testing.T, s *shop, role string, fields map[string]string) {
		conn := s.login(fields, "other")
		for _, sql := range []string{"begin", "create table limbo (id int)", "prepare transaction 'it''s mine'"} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}, check: func(t *testing.T, s *shop, _ string) {
		var n int
		if s.QueryRow("other", &n, "select count(*) from pg_prepared_xacts"); n != 0 {
			t.Error("a prepared transaction is left")
		}
	}},
}

func TestRevokeLeavesNothingOfTheRoleAndEverythingItMade(t *testing.T) {
	s := openShop(t, harness.PostgresSetting("max_prepared_transactions", "5"))
	testLeftovers(t, s)
}

func TestAdministratorWithoutSuperuserCanRevokeToo(t *testing.T) {
	s := openShop(t, harness.PostgresSetting("max_prepared_transactions", "5"))
	s.Deputize("deputy")
	testLeftovers(t, s)

	c, fields := s.Issue("readwrite")
	s.Exec("shop", "grant select on orders to "+c.Lease.ID)
	proof, err := s.Session.Revoke(harness.Within(t, 10*time.Second), c.Lease)
	if proof != providers.Failed || !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), "it can log in no more") {
		t.Errorf("a grant that only a superuser can take back: %v, %v", proof, err)
	}
	if _, err := s.Connect(c.Lease.ID, fields["password"], "shop"); err == nil {
		t.Error("and the credential still logs in")
	}
	s.Exec("shop", "revoke select on orders from "+c.Lease.ID)
	s.Revoke(s.Session, c.Lease)

	c, fields = s.Issue("readwrite")
	s.Exec("shop", "create role friend nologin; grant select on orders to "+c.Lease.ID+" with grant option")
	s.must(s.login(fields, "shop"), "grant select on orders to friend")
	if proof, err := s.Session.Revoke(harness.Within(t, 10*time.Second), c.Lease); proof != providers.Failed {
		t.Errorf("the same, passed on: %v, %v", proof, err)
	}
	s.Exec("shop", "revoke grant option for select on orders from "+c.Lease.ID) // without CASCADE: nothing hangs on it
	s.Exec("shop", "revoke select on orders from "+c.Lease.ID)
	s.Revoke(s.Session, c.Lease)

	var memberships int
	s.QueryRow("shop", &memberships, "select count(*) from pg_auth_members where member = 'deputy'::regrole and not admin_option")
	if memberships != 0 {
		t.Errorf("the administrator is left a member of %d roles", memberships)
	}
}

func testLeftovers(t *testing.T, s *shop) {
	for _, test := range leftovers {
		if test.super && s.target().Settings["user"] != s.User {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			c, fields := s.Issue("readwrite")
			test.leave(t, s, c.Lease.ID, fields)
			s.Revoke(s.Session, c.Lease)
			if _, err := s.Connect(c.Lease.ID, fields["password"], "shop"); err == nil {
				t.Error("the credential still logs in")
			}
			if test.check != nil {
				test.check(t, s, c.Lease.ID)
			}
			warned := s.Warned()
			if said := strings.Contains(warned, "now belongs to group readwrite"); said != test.made {
				t.Errorf("that the group has new objects was said: %t, want %t", said, test.made)
			}
			if !strings.Contains(warned, test.says) || strings.Contains(warned, "SECURITY DEFINER") != (test.says != "") {
				t.Errorf("it was said %q, want %q", warned, test.says)
			}
		})
	}
}

func TestWhatTheRoleMadeGoesToTheAdministratorWhenItsGroupIsGone(t *testing.T) {
	s := openShop(t)
	s.Exec("shop", "create role fleeting nologin; grant create on schema public to fleeting")
	c, fields := s.Issue("fleeting")
	s.must(s.login(fields, "shop"), "create table kept (id int)")
	s.Exec("shop", "drop owned by fleeting; drop role fleeting")
	s.Revoke(s.Session, c.Lease)
	if owner := s.owner("shop", "kept"); owner != "postgres" {
		t.Errorf("kept belongs to %s", owner)
	}
}

func TestDatabaseThatAcceptsNoConnectionsIsNamed(t *testing.T) {
	s := openShop(t)
	c, fields := s.Issue("readwrite")
	s.must(s.login(fields, "other"), "create table shut (id int)")
	s.Exec("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'other'; alter database other allow_connections false")
	proof, err := s.Session.Revoke(harness.Within(t, 5*time.Second), c.Lease)
	if proof != providers.Failed || !errors.Is(err, providers.ErrRefused) || !strings.Contains(err.Error(), `ALTER DATABASE "other" ALLOW_CONNECTIONS true`) {
		t.Errorf("%v, %v", proof, err)
	}
	if _, err := s.Connect(c.Lease.ID, fields["password"], "shop"); err == nil {
		t.Error("the credential still logs in although it was to be revoked")
	}
	s.Exec("postgres", "alter database other allow_connections true")
	s.Revoke(s.Session, c.Lease)
}

func TestLockOnWhatTheRoleMadeIsWaitedForNoLongerThanTheDeadline(t *testing.T) {
	s := openShop(t)
	c, fields := s.Issue("readwrite")
	s.must(s.login(fields, "shop"), "create table busy (id int)")
	reader, err := s.Connect(s.User, s.Password, "shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"begin", "select * from busy"} {
		if _, err := reader.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	_, err = s.Session.Revoke(harness.Within(t, time.Second), c.Lease)
	if err == nil || errors.Is(err, providers.ErrRefused) {
		t.Errorf("error: %v, want one that may be retried", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s against a deadline of 1 s", took)
	}
	if _, err := s.Connect(c.Lease.ID, fields["password"], "shop"); err == nil {
		t.Error("the credential still logs in while its objects wait")
	}
	if _, err := reader.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	s.Revoke(s.Session, c.Lease)
}
