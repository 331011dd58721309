// A small Jenkins: it runs a Jenkinsfile with the library in pipelines/jenkins, on Groovy 2.4 as Jenkins does. `sh` really executes, under the
// cookie by which Jenkins finds a build's processes. Every value that a variable holds, and every step's arguments, are serialised as Jenkins would to save the
// program's state; what came out is written to the file `state`, for a test to look for secrets.
//
//   groovy Harness.groovy JENKINSFILE LIBRARY WORKSPACE
//
// WORKSPACE/credentials.properties has the credentials store. When WORKSPACE/abort appears the build is aborted: the process-tree killer acts as Jenkins' does
// (hudson.util.ProcessTree, by the cookie in a process's environment: SIGTERM, 5 s, SIGKILL), and the step that ran throws.
import org.codehaus.groovy.ast.ClassHelper
import org.codehaus.groovy.ast.ClassNode
import org.codehaus.groovy.ast.expr.*
import org.codehaus.groovy.classgen.GeneratorContext
import org.codehaus.groovy.ast.ClassCodeExpressionTransformer
import org.codehaus.groovy.control.CompilePhase
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.SourceUnit
import org.codehaus.groovy.control.customizers.CompilationCustomizer
import org.codehaus.groovy.syntax.Types

import java.util.concurrent.TimeUnit

class Saved {
    static File file

    static Object check(String name, Object value) {
        def bytes = new ByteArrayOutputStream()
        try {
            new ObjectOutputStream(bytes).writeObject(value)
        } catch (NotSerializableException e) {
            throw new IllegalStateException("Jenkins could not save the variable or argument '" + name + "': " + e.message + " is not serialisable")
        }
        synchronized (Saved) {
            file.append(name + '=')
            file.append(bytes.toByteArray())
            file.append('\n')
        }
        return value
    }
}

/** Wraps the right side of every assignment to a variable in Saved.check. */
class Assignments extends CompilationCustomizer {
    Assignments() { super(CompilePhase.CANONICALIZATION) }

    void call(SourceUnit source, GeneratorContext context, ClassNode node) {
        new ClassCodeExpressionTransformer() {
            SourceUnit getSourceUnit() { source }

            Expression transform(Expression e) {
                if (e instanceof ClosureExpression) {
                    e.code.visit(this)
                    return e
                }
                if (e instanceof BinaryExpression && e.operation.type == Types.ASSIGN && e.leftExpression instanceof VariableExpression && !(e.rightExpression instanceof EmptyExpression)) {
                    e.rightExpression = new StaticMethodCallExpression(ClassHelper.make(Saved), 'check',
                        new ArgumentListExpression(new ConstantExpression(e.leftExpression.name), transform(e.rightExpression)))
                    return e
                }
                return super.transform(e)
            }
        }.visitClass(node)
    }
}

abstract class Steps extends Script implements Serializable {
    static Map<String, Object> library = [:]
    static File workspace
    static String cookie = 'durable-' + UUID.randomUUID()
    static volatile boolean aborted
    static final InheritableThreadLocal<Map> context = new InheritableThreadLocal<Map>()

    /** The environment and the directory that a step runs with; a branch begins with those of what it branches from. */
    private Map where() { context.get() ?: [env: [:], dir: workspace] }

    private Object within(Map change, Closure body) {
        def before = where()
        context.set(before + change)
        try { return body.call() } finally { context.set(before) }
    }

    // The declarative form, as far as the examples use it.
    void pipeline(Closure body) { body() }
    void agent(Object any) { }
    Object getAny() { 'any' }
    Map getParams() { [MIGRATE: System.getenv('MIGRATE') == 'true'] }
    void stages(Closure body) {
        try { body() } catch (Throwable t) { failure = t }
    }
    static Throwable failure
    static boolean skipped
    void when(Closure body) { skipped = !body() }
    boolean expression(Closure body) { body() }
    void steps(Closure body) { if (!skipped) body() }
    void post(Closure body) { body() }
    void always(Closure body) { body() }

    // Scripted.
    Object node(Closure body) { body() }
    Object stage(String name, Closure body) { skipped = false; println "[Pipeline] { ($name)"; return body() }
    Object dir(String path, Closure body) {
        def to = new File(where().dir, path)
        to.mkdirs()
        within([dir: to], Saved.check('dir', body))
    }
    Object withEnv(List variables, Closure body) {
        Saved.check('withEnv', new ArrayList(variables))
        within([env: where().env + variables.collectEntries { def (n, v) = it.toString().split('=', 2) as List; [(n): v] }], Saved.check('body', body))
    }
    Map string(Map m) { [kind: 'string'] + m }
    Map usernamePassword(Map m) { [kind: 'usernamePassword'] + m }
    Object withCredentials(List bindings, Closure body) {
        Saved.check('withCredentials', new ArrayList(bindings))
        def store = new Properties()
        new File(workspace, 'credentials.properties').withReader { store.load(it) }
        def env = [:]
        bindings.each { b ->
            if (b.kind == 'string') env[b.variable] = store[b.credentialsId]
            else {
                env[b.usernameVariable] = store[b.credentialsId + '.username']
                env[b.passwordVariable] = store[b.credentialsId + '.password']
            }
        }
        within([env: where().env + env], Saved.check('body', body))
    }
    void echo(Object text) { println text.toString() }
    void error(Object text) { throw new RuntimeException(text.toString()) }
    Object parallel(Map branches) {
        def failed = Collections.synchronizedList([])
        branches.collect { name, body -> Thread.start { try { body() } catch (Throwable t) { failed << t } } }*.join()
        if (failed) throw failed[0]
    }

    /** The step, whatever the library has by its name. */
    Object realSh(Map o) {
        Saved.check('sh', new LinkedHashMap(o))
        def text = o.script.toString()
        def file = File.createTempFile('script', '.sh', new File(workspace, 'control'))
        file.text = text
        file.setExecutable(true)
        def build = new ProcessBuilder(text.startsWith('#!') ? [file.path] : ['sh', '-xe', file.path]).directory(where().dir)
        build.environment().putAll(where().env.collectEntries { k, v -> [(k.toString()): v.toString()] })
        build.environment().putAll(JENKINS_NODE_COOKIE: cookie, JENKINS_URL: 'https://jenkins.example/', BUILD_ID: '17', BUILD_NUMBER: '17', JOB_NAME: 'nightly',
            BUILD_URL: 'https://jenkins.example/job/nightly/17/', WORKSPACE: workspace.path, WORKSPACE_TMP: new File(workspace, 'control').path)
        def output = File.createTempFile('output', '', new File(workspace, 'control'))
        build.redirectInput(new File('/dev/null'))
        build.redirectError(ProcessBuilder.Redirect.INHERIT)
        build.redirectOutput(o.returnStdout ? ProcessBuilder.Redirect.to(output) : ProcessBuilder.Redirect.INHERIT)
        def process = build.start()
        while (!process.waitFor(20, TimeUnit.MILLISECONDS)) {
            if (!aborted && new File(workspace, 'abort').exists()) {
                aborted = true
                killTree()
                process.waitFor()
                throw new InterruptedException('aborted')
            }
        }
        int code = process.exitValue()
        if (o.returnStatus) return code
        if (code != 0) throw new RuntimeException('script returned exit code ' + code)
        return o.returnStdout ? output.text : null
    }

    /** As hudson.util.ProcessTree.Linux: all that have the cookie, and their descendants. */
    static void killTree() {
        def marked = {
            new File('/proc').listFiles().findAll { p ->
                p.name.isInteger() && (p.name as int) != (new File('/proc/self').canonicalFile.name as int) && mark(p)
            }*.name
        }
        marked().each { ['kill', '-TERM', it].execute().waitFor() }
        for (int i = 0; i < 100 && marked(); i++) Thread.sleep(50)
        marked().each { ['kill', '-KILL', it].execute().waitFor() }
    }

    private static boolean mark(File p) {
        try { return new String(new File(p, 'environ').bytes, 'ISO-8859-1').contains('JENKINS_NODE_COOKIE=' + cookie) } catch (IOException e) { return false }
    }

    Object getSteps() { new RealSteps(this) }
    Map getEnv() { where().env }

    /** As org.jenkinsci.plugins.workflow.cps.CpsScript.invokeMethod: the library's global variables go before the steps. */
    Object methodMissing(String name, args) {
        def step = library[name]
        if (step == null) throw new MissingMethodException(name, getClass(), args)
        return step.call(*args)
    }
}

class RealSteps implements Serializable {
    private final Steps script
    RealSteps(Steps script) { this.script = script }
    Object sh(Map o) { script.realSh(o) }
    Object sh(String s) { script.realSh(script: s) }
}

def (jenkinsfile, path, workspace) = args
Steps.workspace = new File(workspace)
new File(workspace, 'control').mkdirs()
Saved.file = new File(workspace, 'state')
Saved.file.bytes = new byte[0]

def configuration = new CompilerConfiguration(scriptBaseClass: Steps.name, classpath: path + '/src')
configuration.addCompilationCustomizers(new Assignments())
def shell = new GroovyShell(getClass().classLoader, new Binding(), configuration)
new File(path, 'vars').eachFileMatch(~/.*\.groovy/) { Steps.library[it.name - '.groovy'] = shell.parse(it) }
try {
    shell.parse(new File(jenkinsfile).text.replaceAll(/(?m)^@Library.*$/, ''), 'Jenkinsfile.groovy').run()
    if (Steps.failure) throw Steps.failure
    println 'Finished: SUCCESS'
} catch (InterruptedException e) {
    println 'Finished: ABORTED'
    System.exit(2)
} catch (Throwable t) {
    t.printStackTrace()
    println 'Finished: FAILURE'
    System.exit(1)
}
