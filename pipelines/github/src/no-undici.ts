// In place of undici, of which @actions/http-client wants one class for a way through a proxy that this action does not take, and which brings 0.8 MB of an
// HTTP library into what is to be read.
export class ProxyAgent {}
