package bind

// BuiltIns are the presets of this package, sorted by name.
//
// To add one, add an entry: its names may be ones that are refused elsewhere (see refuse.go), for they were chosen here
// with care. Bind what the family's own clients read by themselves, cite where they say so, and give what they cannot
// read from the environment as a file. What only a person knows (where the server is) is a parameter of the spec and comes as a field
// (`?host=db:5432&database=app`), so it is optional; the fields host, port and address are the same here however that is written (see serve.Located). Look
// up what else the clients read, and drop what would make them somebody else. TestPresetsAreWellFormed holds an entry to the grammar and the order.
func BuiltIns() []Preset {
	return []Preset{
		{
			// "Using environment variables": https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html. A token
			// that was there before does not belong to these keys, and no SDK takes an empty one for a token. But SDKs take a profile, a legacy name or a token of
			// Bedrock's (AWS_BEARER_TOKEN_BEDROCK) for it, each in an order of its own (the JavaScript SDK ranks AWS_PROFILE above keys): see awsOthers.
			Name:    "aws",
			About:   "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, and the region that ?region= names",
			Clients: "aws, every AWS SDK, terraform; what must outlive the credential: as=aws-endpoint",
			Example: "vault:aws/sts/deploy?ttl=15m&region=eu-central-1 as=aws",
			Family:  "aws",
			Bindings: `AWS_ACCESS_KEY_ID=access_key AWS_SECRET_ACCESS_KEY=secret_key
				AWS_SESSION_TOKEN=session_token? AWS_SESSION_TOKEN=security_token? AWS_SESSION_TOKEN==?
				AWS_REGION=region? AWS_DEFAULT_REGION=region?`,
			Drops: awsOthers,
		},
		{
			// "Container credential provider": https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html. Every SDK
			// looks for keys in the environment first, so those that were there are blanked. And all of them rank what a profile says above the endpoint: keys,
			// SSO, a role, credential_process, in either file. So clients find both files empty; the region is ?region=, or AWS_REGION as it was.
			Name:    "aws-endpoint",
			About:   "AWS_CONTAINER_CREDENTIALS_FULL_URI and its token: an endpoint of the run's own, which SDKs ask again before a credential ends",
			Clients: "aws and every AWS SDK that knows the container credential provider; none reads ~/.aws, whose profiles would go before",
			Example: "vault:aws/sts/deploy?ttl=15m&region=eu-central-1 as=aws-endpoint",
			Family:  "aws",
			Bindings: `AWS_CONTAINER_CREDENTIALS_FULL_URI=served:aws-url AWS_CONTAINER_AUTHORIZATION_TOKEN=served:aws-token
				AWS_ACCESS_KEY_ID== AWS_SECRET_ACCESS_KEY== AWS_SESSION_TOKEN== AWS_REGION=region? AWS_DEFAULT_REGION=region?
				AWS_SHARED_CREDENTIALS_FILE==/dev/null AWS_CONFIG_FILE==/dev/null`,
			Drops: awsOthers,
		},
		{
			// azidentity's EnvironmentCredential (https://learn.microsoft.com/azure/developer/go/sdk/authentication/authentication-overview) and
			// terraform's azurerm (https://registry.terraform.io/providers/hashicorp/azurerm/latest/docs/guides/service_principal_client_secret).
			// No client takes an access token from the environment by a name of its own. azurerm ranks a certificate above a secret, and refuses a secret
			// that differs from its file's; AZURE_TOKEN_CREDENTIALS can leave the environment out of an SDK's default chain; the rest is another login's half.
			Name:    "azure",
			About:   "AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and the same as ARM_*; tenant and subscription that ?tenant_id= and ?subscription_id= name",
			Clients: "every Azure SDK's environment credential, terraform's azurerm, packer",
			Example: "vault:azure/creds/deploy?tenant_id=00000000-0000-0000-0000-000000000000 as=azure",
			Bindings: `AZURE_CLIENT_ID=client_id? AZURE_CLIENT_SECRET=client_secret? AZURE_TENANT_ID=tenant_id? AZURE_SUBSCRIPTION_ID=subscription_id?
				ARM_CLIENT_ID=client_id? ARM_CLIENT_SECRET=client_secret? ARM_TENANT_ID=tenant_id? ARM_SUBSCRIPTION_ID=subscription_id?
				AZURE_ACCESS_TOKEN=access_token?`,
			Drops: `AZURE_CLIENT_CERTIFICATE_PATH AZURE_CLIENT_CERTIFICATE_PASSWORD AZURE_USERNAME AZURE_PASSWORD AZURE_FEDERATED_TOKEN_FILE AZURE_TOKEN_CREDENTIALS
				ARM_CLIENT_CERTIFICATE ARM_CLIENT_CERTIFICATE_PATH ARM_CLIENT_CERTIFICATE_PASSWORD ARM_CLIENT_ID_FILE_PATH ARM_CLIENT_SECRET_FILE_PATH`,
		},
		{
			// cqlsh reads the file with --credentials (https://cassandra.apache.org/doc/latest/cassandra/managing/tools/cqlsh.html); it is Python's
			// configparser. [authentication] is what older ones read in a cqlshrc, with --cqlshrc.
			Name:    "cassandra",
			About:   "CASSANDRA_USERNAME and CASSANDRA_PASSWORD, and files for cqlsh --credentials and --cqlshrc",
			Clients: `cqlsh --credentials "$CQLSH_CREDENTIALS", or --cqlshrc "$CQLSHRC" before 4.1; programs that read the pair`,
			Example: "vault:database/creds/app as=cassandra",
			Bindings: `CASSANDRA_USERNAME=username CASSANDRA_PASSWORD=password
				CQLSH_CREDENTIALS=@'[PlainTextAuthProvider]
username = {username|line}
password = {password|line}
'
				CQLSHRC=@'[authentication]
username = {username|line}
password = {password|line}
'`,
		},
		{
			// DOCKER_CONFIG is the directory with config.json (https://docs.docker.com/reference/cli/docker/#environment-variables). podman, skopeo and buildah
			// read the same from REGISTRY_AUTH_FILE, before all else (containers-auth.json(5)). docker from 28.3 on ranks DOCKER_AUTH_CONFIG above it.
			Name:     "docker",
			About:    "DOCKER_CONFIG, a directory with a config.json for the registry that ?server= names, and the same as a file in REGISTRY_AUTH_FILE",
			Clients:  "docker, buildx, helm, crane; podman, skopeo, buildah; contexts and plugins of one's own ~/.docker are out of sight",
			Example:  "vault:kv/data/registry?server=registry.example as=docker",
			Bindings: "DOCKER_CONFIG=" + dockerAuths + " REGISTRY_AUTH_FILE=" + dockerAuths,
			Files:    map[string]string{"DOCKER_CONFIG": "/config.json", "REGISTRY_AUTH_FILE": ".json"},
			Drops:    "DOCKER_AUTH_CONFIG",
		},
		{
			// A key: https://cloud.google.com/docs/authentication/application-default-credentials, and gcloud's auth/credential_file_override. A token:
			// gcloud's auth/access_token_file, which is read afresh by each gcloud, and terraform's GOOGLE_OAUTH_ACCESS_TOKEN. Terraform's google looks for a
			// key in GOOGLE_CREDENTIALS and two older names before the default credentials
			// (https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/provider_reference).
			Name:    "gcp",
			About:   "of a key, GOOGLE_APPLICATION_CREDENTIALS as a file; of a token, CLOUDSDK_AUTH_ACCESS_TOKEN_FILE and GOOGLE_OAUTH_ACCESS_TOKEN",
			Clients: "gcloud, every Google Cloud library's default credentials (a key alone), terraform",
			Example: "vault:gcp/roleset/deploy/token as=gcp",
			Bindings: `GOOGLE_APPLICATION_CREDENTIALS=@'{private_key_data|unbase64}'? CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE=@'{private_key_data|unbase64}'?
				CLOUDSDK_AUTH_ACCESS_TOKEN_FILE=@token? GOOGLE_OAUTH_ACCESS_TOKEN=token?`,
			Drops: "GOOGLE_CREDENTIALS GOOGLE_CLOUD_KEYFILE_JSON GCLOUD_KEYFILE_JSON CLOUDSDK_AUTH_ACCESS_TOKEN",
		},
		{
			// git reads configuration from GIT_CONFIG_COUNT (git-config(1), "ENVIRONMENT"), after the user's and the repository's, whose files stay as
			// they are. An empty value forgets the helpers named before for this URL, and the header that actions/checkout leaves in a repository's
			// configuration, which would be sent instead. What the parent has there (CI images, safe.directory) stays, before it. The helper is git's credential protocol (gitcredentials(7)) over a socket of the run's own.
			Name:    "git",
			About:   "GIT_CONFIG_COUNT and the like: a credential helper of the run's own for one host, asked again at each fetch and push",
			Clients: "git over HTTPS and all that runs it (go, npm, pip, terraform)",
			Example: "github:installation?repositories=app&permissions=contents:read as=git",
			Bindings: `GIT_CONFIG_COUNT==3
				GIT_CONFIG_KEY_0=served:git-key GIT_CONFIG_VALUE_0==
				GIT_CONFIG_KEY_1=served:git-key GIT_CONFIG_VALUE_1=served:git-helper
				GIT_CONFIG_KEY_2=served:git-header GIT_CONFIG_VALUE_2==
				GIT_TERMINAL_PROMPT==0`,
			Counts: "GIT_CONFIG_COUNT",
			Once:   "one run serves one git host: put the run for the other inside (with-creds -c … -- with-creds -c … -- COMMAND)",
		},
		{
			// kubectl reads JSON as it does YAML. Without ?certificate_authority= (a file with the cluster's CA) the system's CAs are trusted. Without ?server= the
			// file has the token alone, for kubectl --server: with no file at all kubectl would be who ~/.kube/config says. Helm ranks some variables above it.
			Name:    "kubernetes",
			About:   "KUBECONFIG as a file, for the API server that ?server= names (else that of --server), and KUBERNETES_TOKEN",
			Clients: "kubectl, helm and all on client-go",
			Example: "vault:kubernetes/creds/deploy?kubernetes_namespace=shop&server=https://kubernetes.default.svc as=kubernetes",
			Bindings: "KUBERNETES_TOKEN=service_account_token" + kubeconfig(`"server":"{server|json}","certificate-authority":"{certificate_authority|json}"`) +
				kubeconfig(`"server":"{server|json}"`) + kubeconfig(""),
			Drops: "HELM_KUBEASGROUPS HELM_KUBEASUSER HELM_KUBECONTEXT HELM_KUBETOKEN",
		},
		{
			// ldap.conf(5): LDAP followed by an option's name, BINDDN among them; OpenLDAP's tools take a password from -w, a prompt, or a file (-y).
			// The answers of Vault's engine differ: a dynamic account has distinguished_names, a static one dn, one checked out a name alone.
			Name:    "ldap",
			About:   `LDAPBINDDN where the credential knows it, LDAP_USERNAME, LDAP_PASSWORD, and a file for -y "$LDAP_PASSWORD_FILE"`,
			Clients: `ldapsearch, ldapmodify and the rest with -x -y "$LDAP_PASSWORD_FILE"`,
			Example: "vault:ldap/creds/reader as=ldap",
			Bindings: `LDAPBINDDN=dn? LDAPBINDDN=distinguished_names.0?
				LDAP_USERNAME=username? LDAP_USERNAME=service_account_name? LDAP_PASSWORD=password LDAP_PASSWORD_FILE=@password`,
		},
		{
			// https://www.mongodb.com/docs/manual/reference/connection-string/; --config of the database tools is YAML, and so JSON. Vault creates users in
			// admin unless the role's statement names another database.
			Name:    "mongodb",
			About:   "MONGODB_USERNAME and MONGODB_PASSWORD, and with ?host= and ?database= MONGODB_URI and a file for mongodump --config",
			Clients: `programs that read MONGODB_URI; mongosh "$MONGODB_URI"; mongodump --config "$MONGODB_TOOLS_CONFIG"`,
			Example: "vault:database/creds/app?host=db:27017&database=shop as=mongodb",
			Bindings: `MONGODB_USERNAME=username MONGODB_PASSWORD=password
				MONGODB_URI='mongodb://{username|url}:{password|url}@{address}/{database|url}?authSource=admin'?
				MONGODB_TOOLS_CONFIG=@'uri: "mongodb://{username|url}:{password|url}@{address}/{database|url}?authSource=admin"
'?`,
		},
		{
			// sqlcmd(1): https://learn.microsoft.com/sql/tools/sqlcmd/sqlcmd-use-scripting-variables; the URL is that of
			// https://github.com/microsoft/go-mssqldb#the-connection-string-can-be-specified-in-one-of-three-formats.
			Name:    "mssql",
			About:   "SQLCMDUSER and SQLCMDPASSWORD, SQLCMDSERVER and SQLCMDDBNAME with ?host= and ?database=, and MSSQL_URL with both",
			Clients: "sqlcmd; programs that read a sqlserver:// URL",
			Example: "vault:database/creds/app?host=db&database=shop as=mssql",
			Bindings: `SQLCMDUSER=username SQLCMDPASSWORD=password SQLCMDSERVER='{host},{port}'? SQLCMDSERVER=host? SQLCMDDBNAME=database?
				MSSQL_URL='sqlserver://{username|url}:{password|url}@{address}?database={database|url}'?`,
		},
		{
			// No client takes the user from the environment: libmysqlclient asks the system for the login name
			// (sql-common/client.cc, read_user_name), and MYSQL_HOST is read by the mysql client alone. So the pair is given
			// twice: for --user="$MYSQL_USER" with MYSQL_PWD, and as a file for --defaults-file="$MYSQL_DEFAULTS_FILE",
			// which MySQL's manual prefers (8.0: "End-User Guidelines for Password Security", "Environment Variables") and
			// which follows a rotation, as a variable cannot. MYSQL_UNIX_PORT the library reads itself, and looks there where the host is localhost. With --defaults-extra-file, ~/.my.cnf would be read after it, and count. MySQL's clients read
			// one more file in either case, and last, which MYSQL_TEST_LOGIN_FILE names ("mysql_config_editor").
			Name:    "mysql",
			About:   `MYSQL_USER and MYSQL_PWD, and an option file for --defaults-file="$MYSQL_DEFAULTS_FILE"`,
			Clients: "mysql, mysqldump, mysqladmin, mariadb, mariadb-dump and all on libmysqlclient or MariaDB Connector/C",
			Example: "vault:database/creds/app as=mysql",
			Bindings: `MYSQL_USER=username MYSQL_PWD=password MYSQL_HOST=host? MYSQL_TCP_PORT=port? MYSQL_UNIX_PORT=socket? MYSQL_DATABASE=database?
				MYSQL_TEST_LOGIN_FILE==/nonexistent
				MYSQL_DEFAULTS_FILE=@'[client]
user="{username|mycnf}"
password="{password|mycnf}"
'`,
		},
		{
			// npmrc(5), "Auth related configuration", and npm's config(7), "userconfig": npm reads its variables in either case, and gives its own children the
			// lower one. A project's .npmrc goes before it, also where that names a token for the same registry.
			Name:    "npm",
			About:   "NPM_CONFIG_USERCONFIG, a file with the token for the registry that ?server= names, in place of ~/.npmrc",
			Clients: "npm, npx and what else reads npm's userconfig",
			Example: "vault:kv/data/npm?server=npm.example as=npm",
			Bindings: `NPM_CONFIG_USERCONFIG=@'{made:npm-registry}:_authToken="{token|json}"
'? NPM_CONFIG_USERCONFIG=@'{made:npm-registry}:_authToken="{access_token|json}"
'?`,
			Drops: "npm_config_userconfig",
		},
		{
			// SQL*Plus reads no password from the environment: it logs in from a script, which must be called .sql (User's Guide, "START"), and what follows the
			// script on the command line are its arguments. So it is the first that SQL*Plus reads, and the report the second. Names are not quoted, for
			// Vault creates them unquoted; a quoted password keeps its case. "set define off" lets it hold an &.
			Name:    "oracle",
			About:   "ORACLE_USERNAME and ORACLE_PASSWORD, and with ?host= and ?database= (the service) ORACLE_URL and a login script for sqlplus",
			Clients: `printf '@%s\n' "$ORACLE_LOGIN_SQL" report.sql | sqlplus -L /nolog; programs that read an oracle:// URL`,
			Example: "vault:database/creds/app?host=db:1521&database=ORCLPDB1 as=oracle",
			Bindings: `ORACLE_USERNAME=username ORACLE_PASSWORD=password
				ORACLE_URL='oracle://{username|url}:{password|url}@{address}/{database|url}'?
				ORACLE_LOGIN_SQL=@'set define off
connect {username|line}/"{password|dquote}"@//{address}/{database}
'?`,
			Files: map[string]string{"ORACLE_LOGIN_SQL": ".sql"},
		},
		{
			// TNS_ADMIN is a directory (Net Services Administrator's Guide, "Local Naming Method"); on Linux, TWO_TASK is the connect identifier where none is
			// written (SQL*Plus User's Guide, "Configuring SQL*Plus"). One's own TNS_ADMIN, with its sqlnet.ora, is out of sight then: as=oracle leaves it alone.
			Name:    "oracle-tns",
			About:   "TNS_ADMIN with a tnsnames.ora of one name, which TWO_TASK makes the default, and a login script for sqlplus",
			Clients: `printf '@%s\n' "$ORACLE_LOGIN_SQL" report.sql | sqlplus -L /nolog; sqlldr, expdp and all that take a name of tnsnames.ora`,
			Example: "vault:database/creds/app?host=db:1521&database=ORCLPDB1 as=oracle-tns",
			Bindings: `TNS_ADMIN=served:tns-admin TWO_TASK==with_creds ORACLE_USERNAME=username ORACLE_PASSWORD=password
				ORACLE_LOGIN_SQL=@'set define off
connect {username|line}/"{password|dquote}"@with_creds
'`,
			Files: map[string]string{"ORACLE_LOGIN_SQL": ".sql"},
		},
		{
			// There are no names that TLS clients share; these are for --cert, --key and --cacert of curl, -cert and -key of openssl. A server wants
			// TLS_CHAIN: the certificate and what leads from it to the root.
			Name:    "pki",
			About:   "files: TLS_CERT, TLS_KEY, TLS_CA, and TLS_CHAIN (the certificate, then its issuers)",
			Clients: `curl --cert "$TLS_CERT" --key "$TLS_KEY" --cacert "$TLS_CA", openssl s_client, any server's settings`,
			Example: "vault:pki/issue/web?common_name=ci.example.com as=pki",
			Bindings: `TLS_CERT=@certificate TLS_KEY=@private_key TLS_CA=@issuing_ca
				TLS_CHAIN=@'{certificate}
{ca_chain}
'? TLS_CHAIN=@certificate?`,
		},
		{
			Name:     "pki-pkcs12",
			About:    "TLS_PKCS12, a file with key, certificate and chain, and TLS_PKCS12_PASSWORD, made for it",
			Clients:  "Java key stores, .NET, curl --cert-type P12",
			Example:  "vault:pki/issue/web?common_name=ci.example.com as=pki-pkcs12",
			Bindings: `TLS_PKCS12=@made:pkcs12 TLS_PKCS12_PASSWORD=made:pkcs12-password`,
		},
		{
			// PostgreSQL's manual, "34.15. Environment Variables" (libpq), which ranks a service above them.
			Name:    "postgres",
			About:   "PGUSER and PGPASSWORD, and PGHOST, PGPORT, PGDATABASE, PGSSLMODE, PGSSLROOTCERT and the like where the credential knows them",
			Clients: "psql, pg_dump, pg_restore, pgbench and all on libpq, pgx, lib/pq, psycopg, asyncpg, node-postgres, npgsql",
			Example: "vault:database/creds/readonly as=postgres",
			Bindings: `PGUSER=username PGPASSWORD=password PGHOST=host? PGPORT=port? PGDATABASE=database? PGSSLMODE=sslmode? PGSSLROOTCERT=sslrootcert?
				PGSSLNEGOTIATION=sslnegotiation? PGCHANNELBINDING=channel_binding? PGTARGETSESSIONATTRS=target_session_attrs?`,
			Drops: "PGSERVICE",
		},
		{
			// PostgreSQL's manual, "34.16. The Password File" and "34.17. The Connection Service File". Files follow a rotation: a client that
			// connects again finds the new password, and as the user changes with it, that must come from a file as well: from the service. A
			// service's password cannot hold what a line cannot; the password file is for clients that know no services. A password in a variable outranks it.
			Name:    "postgres-files",
			About:   "PGSERVICE with PGSERVICEFILE, which holds user and password, and PGPASSFILE; nothing secret in a variable",
			Clients: "psql, pg_dump and all on libpq, pgx; each new connection finds the newest credential",
			Example: "vault:database/creds/readonly as=postgres-files",
			Bindings: `PGSERVICE==with-creds
				PGSERVICEFILE=@'[with-creds]
user={username|line}
password={password|line}
'
				PGPASSFILE=@'*:*:*:{username|pgpass}:{password|pgpass}
'
				PGHOST=host? PGPORT=port? PGDATABASE=database? PGSSLMODE=sslmode? PGSSLROOTCERT=sslrootcert?
				PGSSLNEGOTIATION=sslnegotiation? PGCHANNELBINDING=channel_binding? PGTARGETSESSIONATTRS=target_session_attrs?`,
			Drops: "PGUSER PGPASSWORD",
		},
		{
			// https://www.rabbitmq.com/docs/uri-spec
			Name:     "rabbitmq",
			About:    "RABBITMQ_USERNAME and RABBITMQ_PASSWORD, and AMQP_URL with ?host=",
			Clients:  "programs that read the pair or an amqp:// URL; curl with the management API",
			Example:  "vault:rabbitmq/creds/app?host=mq:5672 as=rabbitmq",
			Bindings: `RABBITMQ_USERNAME=username RABBITMQ_PASSWORD=password AMQP_URL='amqp://{username|url}:{password|url}@{address}'?`,
		},
		{
			// redis-cli reads the password alone (https://redis.io/docs/latest/develop/tools/cli/); the URL is IANA's redis scheme.
			Name:     "redis",
			About:    "REDIS_USERNAME and REDISCLI_AUTH, and REDIS_URL with ?host=",
			Clients:  `redis-cli --user "$REDIS_USERNAME"; programs that read REDIS_URL`,
			Example:  "vault:database/creds/cache?host=cache:6379 as=redis",
			Bindings: `REDIS_USERNAME=username REDISCLI_AUTH=password REDIS_URL='redis://{username|url}:{password|url}@{address}'?`,
		},
		{
			// ssh(1), SSH_AUTH_SOCK: the agent offers the key with its certificate.
			Name:     "ssh",
			About:    "SSH_AUTH_SOCK, an agent of the run's own with the key and its certificate; nothing is written to a file",
			Clients:  "ssh, scp, sftp, rsync, git, ansible",
			Example:  "vault:ssh/sign/ci?public_key=generate as=ssh",
			Bindings: `SSH_AUTH_SOCK=served:ssh-agent`,
		},
		{
			// ssh(1) takes -i, and CertificateFile= of ssh_config(5) for a certificate that is not beside its key. Without IdentitiesOnly an agent's keys go first.
			Name:     "ssh-files",
			About:    "SSH_KEY_FILE and SSH_CERTIFICATE_FILE",
			Clients:  `ssh -o IdentitiesOnly=yes -i "$SSH_KEY_FILE" -o CertificateFile="$SSH_CERTIFICATE_FILE"`,
			Example:  "vault:ssh/sign/ci?public_key=generate as=ssh-files",
			Bindings: `SSH_KEY_FILE=@made:ssh-key SSH_CERTIFICATE_FILE=@signed_key`,
		},
		{
			// ssh(1) runs SSH_ASKPASS for a password when SSH_ASKPASS_REQUIRE says so (OpenSSH 8.4); SSHPASS is for sshpass -e. An agent's keys are tried first.
			Name:     "ssh-otp",
			About:    "a one-time password: SSHPASS, and SSH_ASKPASS, a program that answers ssh's prompt for a password with it",
			Clients:  "ssh and scp of OpenSSH 8.4 and later, sshpass -e",
			Example:  "vault:ssh/creds/otp?ip=10.0.0.7 as=ssh-otp",
			Bindings: `SSHPASS=key SSH_ASKPASS=served:askpass SSH_ASKPASS_REQUIRE==force`,
			Drops:    "SSH_AUTH_SOCK",
		},
	}
}
