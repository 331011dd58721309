// In place of @actions/http-client, which @actions/core wants for a call that this action does not make (with-creds asks for the id token itself) and
// which brings 0.8 MB of an HTTP library into what is to be read.
export class HttpClient {}
export class BearerCredentialHandler {}
