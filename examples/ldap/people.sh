#!/bin/sh
# Who is in a directory. The account is lent from a pool that Vault keeps, and given back at the end with its password changed; the tools of OpenLDAP
# find the password in a private file. LDAPURI and LDAPBASE, which they read too, say where.
#
#   with-creds -c 'vault:ldap/library/ci/check-out as=ldap' -- examples/ldap/people.sh
set -eu
# An account from a pool has a name and no DN.
exec ldapsearch -x -LLL -D "cn=$LDAP_USERNAME,ou=people,$LDAPBASE" -y "$LDAP_PASSWORD_FILE" '(objectClass=person)' cn
