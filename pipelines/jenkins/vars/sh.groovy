import io.withcreds.Wrapper

/**
 * Jenkins' `sh`, which runs its script with the credentials of the withCreds block that it is in, however deep; outside of one it is the step itself. (A
 * global variable goes before a step of the same name; `steps.sh` is the step.)
 */
def call(Map options) {
    String sessions = env.WITH_CREDS_JENKINS_SESSIONS
    if (!sessions) {
        return steps.sh(options)
    }
    Map changed = new LinkedHashMap(options)
    changed.script = Wrapper.wrap(options.script.toString(), sessions.tokenize(':'))
    return steps.sh(changed)
}

def call(CharSequence script) {
    return call([script: script.toString()])
}
