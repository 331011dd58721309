package bind

// awsOthers is what AWS's clients would take for another login, before the keys or the endpoint that they are given, or what belongs to such a login. Some
// rank one above keys and some another (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html and each SDK's own code); without
// them all agree.
const awsOthers = `AWS_PROFILE AWS_DEFAULT_PROFILE AWS_WEB_IDENTITY_TOKEN_FILE AWS_ROLE_ARN AWS_ROLE_SESSION_NAME
	AWS_CONTAINER_CREDENTIALS_RELATIVE_URI AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_AUTHORIZATION_TOKEN AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE
	AWS_ACCESS_KEY AWS_SECRET_KEY AWS_SECURITY_TOKEN AWS_CREDENTIAL_EXPIRATION AWS_CREDENTIAL_FILE AWS_BEARER_TOKEN_BEDROCK`

// kubeconfig binds KUBECONFIG for a cluster.
func kubeconfig(cluster string) string {
	return ` KUBECONFIG=@'{{"apiVersion":"v1","kind":"Config","current-context":"with-creds",
"clusters":[{{"name":"with-creds","cluster":{{` + cluster + `}}}}],
"users":[{{"name":"with-creds","user":{{"token":"{service_account_token|json}"}}}}],
"contexts":[{{"name":"with-creds","context":{{"cluster":"with-creds","user":"with-creds","namespace":"{service_account_namespace|json}"}}}}]}}
'?`
}

// dockerAuths is what logs docker in to one registry: a file, whose name Files decides.
const dockerAuths = `@'{{"auths":{{"{server|json}":{{"auth":"{made:basic-auth}"}}}}}}
'`
