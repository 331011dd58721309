/**
 * Short-lived credentials for a part of a pipeline, revoked at its end however that comes:
 *
 *     withCreds(['vault:database/creds/readonly as=postgres'], vaultRole: 'ci', jwt: 'vault-oidc') {
 *         sh 'pg_dump -h db app > app.sql'
 *     }
 *
 * Each `sh` in the block, and in what the block calls, runs with the credentials in its environment, masked in its output (see sh.groovy). What the
 * pipeline itself holds, and so what Jenkins saves, is the path of a directory: no credential passes through Groovy. Blocks may be nested and run in
 * parallel; each has a session of its own. Any other step finds no credentials.
 *
 * In a container of the build (`container('x')`, `docker.image('x').inside`) it stands inside of that, and with-creds is in the image: a session is of one
 * machine, and a container's files and processes are not those of the agent.
 *
 * Options: vaultAddr, vaultAuth, vaultRole, vaultMount, leash, jobTimeout, config (as the flags of the same names), and what to log in with, as ids of
 * Jenkins credentials: appRole (user name and password: role id and secret id), jwt (a secret text, such as an OIDC id token), token (a secret text).
 */
def call(Map options = [:], List credentials, Closure body) {
    String session = begin(options, credentials)
    boolean failed = true
    try {
        String outer = env.WITH_CREDS_JENKINS_SESSIONS
        withEnv(['WITH_CREDS_SESSION=' + session, 'WITH_CREDS_JENKINS_SESSIONS=' + (outer ? outer + ':' : '') + session]) {
            body()
        }
        failed = false
    } finally {
        end(session, failed)
    }
}

private String begin(Map options, List credentials) {
    List settings = ['WITH_CREDS=' + credentials.join('\n'), 'WITH_CREDS_SESSION=']
    Map names = [vaultAddr: 'VAULT_ADDR', vaultAuth: 'WITH_CREDS_VAULT_AUTH', vaultRole: 'WITH_CREDS_VAULT_ROLE', vaultMount: 'WITH_CREDS_VAULT_MOUNT',
                 leash: 'WITH_CREDS_LEASH', config: 'WITH_CREDS_CONFIG']
    List known = ['jobTimeout', 'appRole', 'jwt', 'token']
    List bindings = []
    for (String option in new ArrayList(options.keySet())) {
        String value = options[option].toString()
        if (names.containsKey(option)) {
            settings.add(names[option] + '=' + value)
        } else if (option == 'appRole') {
            bindings.add(usernamePassword(credentialsId: value, usernameVariable: 'WITH_CREDS_VAULT_ROLE_ID', passwordVariable: 'WITH_CREDS_VAULT_SECRET_ID'))
        } else if (option == 'jwt') {
            bindings.add(string(credentialsId: value, variable: 'WITH_CREDS_VAULT_JWT'))
        } else if (option == 'token') {
            bindings.add(string(credentialsId: value, variable: 'VAULT_TOKEN'))
        } else if (!known.contains(option)) {
            error('withCreds: there is no option ' + option + '; there are ' + (new ArrayList(names.keySet()) + known).join(', '))
        }
    }
    if (!bindings.isEmpty() && !options.containsKey('vaultAuth')) {
        settings.add('WITH_CREDS_VAULT_AUTH=auto')
    }
    // A script with a first line of its own is not traced, and says only what with-creds says.
    String script = '#!/bin/sh -e\nexec with-creds start --format session'
    if (options.containsKey('jobTimeout')) {
        script += " --job-timeout '" + options.jobTimeout.toString().replace("'", '') + "'"
    }
    String session = null
    withEnv(settings) {
        if (bindings.isEmpty()) {
            session = steps.sh(script: script, label: 'with-creds start', returnStdout: true).trim()
        } else {
            withCredentials(bindings) {
                session = steps.sh(script: script, label: 'with-creds start', returnStdout: true).trim()
            }
        }
    }
    return session
}

// end revokes. What the block failed with goes before what the revocation does.
private void end(String session, boolean failed) {
    int status = 125
    try {
        status = steps.sh(script: "#!/bin/sh -e\nexec with-creds stop --session '" + session + "'", label: 'with-creds stop', returnStatus: true)
    } catch (err) {
        if (!failed) {
            throw err
        }
        echo('with-creds: ' + err + ': the keeper on the agent, or its leash, ends the credentials')
        return
    }
    if (status != 0 && !failed) {
        error('with-creds: it is not proven that the credentials are revoked (exit code ' + status + ')')
    }
}
