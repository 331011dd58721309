package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/with-creds/with-creds/providers"
)

// lockWait bounds how long handing objects over waits for somebody else's lock on one of them, because everybody who wants that object
// queues up behind. Revoke is tried again anyway.
const lockWait = 2 * time.Second

// handOver leaves nothing depending on a disabled role: in every database where there is something, what it owns becomes the group's, and
// what was granted to it is revoked. One database that fails does not keep the others from being done.
func (s *Session) handOver(ctx context.Context, l providers.Lease, left remains) error {
	heir, named := ident(l.Scope[scopeGroup]), "group "+l.Scope[scopeGroup]
	if left.groupGone { // better the administrator's than lost
		heir, named = "CURRENT_USER", "the administrator, because group "+l.Scope[scopeGroup]+" is gone"
	}
	var errs []error
	for _, tx := range left.prepared {
		errs = append(errs, s.rollBackPrepared(ctx, l, tx))
	}
	for _, db := range left.databases {
		if !db.accepts {
			errs = append(errs, providers.Refused(failf(nil,
				"database %s holds objects or grants of the role and accepts no connections: ALTER DATABASE %s ALLOW_CONNECTIONS true, then revoke again",
				db.name, ident(db.name))))
			continue
		}
		definers, err := s.empty(ctx, l.ID, heir, db)
		if err == nil && db.owned {
			s.settings.Warnf("postgres: what role %s made in database %s now belongs to %s", l.ID, db.name, named)
		}
		if err == nil && definers != "" {
			s.settings.Warnf("postgres: among it is what lets others act with the rights of %s from now on, SECURITY DEFINER: %s; drop what is not wanted", named, definers)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// empty hands over in one database, in one transaction: REASSIGN OWNED gives away what can be owned, DROP OWNED then removes what
// cannot (grants, default privileges, row policies, user mappings), except for grants that only their grantors can take back. It returns the names of functions that run with the rights of their owner, which is another now.
func (s *Session) empty(ctx context.Context, role, heir string, db database) (definers string, err error) {
	c, err := s.connect(ctx, db.name)
	if err != nil {
		return "", err
	}
	defer c.Close()
	results, err := c.exec(ctx, "SET LOCAL lock_timeout = "+strconv.FormatInt(lockWait.Milliseconds(), 10)+`;
		SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc WHERE prosecdef AND proowner = (SELECT oid FROM pg_roles WHERE rolname = `+literal(role)+`);
		REASSIGN OWNED BY `+ident(role)+" TO "+heir+"; "+c.takeBack(role)+"; DROP OWNED BY "+ident(role), 0, 1, 0, 0, 0)
	if err != nil {
		return "", explain(fmt.Sprintf("handing over what it made in database %s", db.name), err)
	}
	return text(results[1], 0, 0), nil
}

// takeBack revokes what the role granted of others' things, and what was granted to it by others than the owners; each in the name of the grantor, for nobody else can, and
// with all that hangs on it. The administrator can be the role, for it joined it, and as a superuser anybody.
func (c *connection) takeBack(role string) string {
	become := "member"
	if c.majorVersion() >= 16 { // a member need not be allowed to SET ROLE
		become = "set"
	}
	return "DO " + literal(`
declare
	self constant oid := (select oid from pg_roles where rolname = `+literal(role)+`);
	before constant text := current_setting('role');
	given record;
begin
	for given in select kind, (pg_identify_object(d.classid, d.objid, 0)).identity as name, grantor, case grantee when 0 then 'public' else grantee::regrole::text end as grantee, grantor = self as own
		from pg_shdepend d cross join lateral (
			select case relkind when 'S' then 'sequence' else 'table' end, relacl from pg_class where d.classid = 'pg_class'::regclass and oid = d.objid
			union all select 'table', attacl from pg_attribute where d.classid = 'pg_class'::regclass and attrelid = d.objid
			union all select 'routine', proacl from pg_proc where d.classid = 'pg_proc'::regclass and oid = d.objid
			union all select 'schema', nspacl from pg_namespace where d.classid = 'pg_namespace'::regclass and oid = d.objid
			union all select 'type', typacl from pg_type where d.classid = 'pg_type'::regclass and oid = d.objid
			union all select 'language', lanacl from pg_language where d.classid = 'pg_language'::regclass and oid = d.objid
			union all select 'foreign data wrapper', fdwacl from pg_foreign_data_wrapper where d.classid = 'pg_foreign_data_wrapper'::regclass and oid = d.objid
			union all select 'foreign server', srvacl from pg_foreign_server where d.classid = 'pg_foreign_server'::regclass and oid = d.objid
			union all select 'large object', lomacl from pg_largeobject_metadata where d.classid = 'pg_largeobject'::regclass and oid = d.objid
			union all select 'database', datacl from pg_database where d.classid = 'pg_database'::regclass and oid = d.objid
			union all select 'tablespace', spcacl from pg_tablespace where d.classid = 'pg_tablespace'::regclass and oid = d.objid
			) as acls(kind, acl), aclexplode(acl)
		where d.refclassid = 'pg_authid'::regclass and d.refobjid = self and d.deptype = 'a'
			and d.dbid in (0, (select oid from pg_database where datname = current_database()))
			and self in (grantor, grantee) and pg_has_role(grantor, '`+become+`')
		group by 1, 2, 3, 4 order by own desc -- while it still may
	loop
		execute format('set local role %s', given.grantor::regrole);
		execute format('revoke all on %s %s from %s cascade', given.kind, given.name, given.grantee);
		execute format('set local role %I', before);
	end loop;
end`)
}

// rollBackPrepared ends a two-phase transaction of the role's: it holds locks and uncommitted objects for ever otherwise. Its author is
// gone, so nobody can have been promised its commit by a coordinator that still lives.
func (s *Session) rollBackPrepared(ctx context.Context, l providers.Lease, tx preparedTx) error {
	c, err := s.connect(ctx, tx.database)
	if err != nil {
		return err
	}
	defer c.Close()
	doing := fmt.Sprintf("rolling back the prepared transaction %q in database %s", tx.gid, tx.database)
	if !c.superuser() { // only its owner may
		if _, err := c.execAlone(ctx, "SET ROLE "+ident(l.ID)); err != nil {
			return explain(doing, err)
		}
	}
	if _, err := c.execAlone(ctx, "ROLLBACK PREPARED "+literal(tx.gid)); err != nil && sqlstate(err) != codeUndefinedObject {
		return explain(doing, err)
	}
	s.settings.Warnf("postgres: role %s left the transaction %q prepared and uncommitted in database %s; it was rolled back", l.ID, tx.gid, tx.database)
	return nil
}
