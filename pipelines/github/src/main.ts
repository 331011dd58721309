// The action's main step: wraps the command of `run`, or issues credentials for the steps that follow. with-creds writes
// the job's environment itself: what passes through this program is only what tells the runner's log filter of the secrets.
import * as core from "@actions/core";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { program } from "./install.js";
import { forwardSignals, say } from "./program.js";
import type { Receipt } from "./receipt.js";
import { summary } from "./summary.js";

// Inputs that are settings of with-creds, by the variable that has them. One that is empty leaves the variable to the job.
const settings: Record<string, string> = {
  credentials: "WITH_CREDS",
  leash: "WITH_CREDS_LEASH",
  config: "WITH_CREDS_CONFIG",
  "revoke-failure": "WITH_CREDS_REVOKE_FAILURE",
  "vault-addr": "VAULT_ADDR",
  "vault-namespace": "VAULT_NAMESPACE",
  "vault-auth": "WITH_CREDS_VAULT_AUTH",
  "vault-role": "WITH_CREDS_VAULT_ROLE",
  "vault-mount": "WITH_CREDS_VAULT_MOUNT",
  "vault-audience": "WITH_CREDS_VAULT_AUDIENCE",
};

function environment(): NodeJS.ProcessEnv {
  const env = { ...process.env };
  for (const [input, variable] of Object.entries(settings)) {
    const value = core.getInput(input, { trimWhitespace: input !== "credentials" });
    if (value) env[variable] = value;
  }
  for (const name of Object.keys(env)) {
    if (name.startsWith("INPUT_")) delete env[name]; // the action's, and not the command's
  }
  delete env["WITH_CREDS_SESSION"]; // of another use of the action in this job
  return env;
}

async function main(): Promise<void> {
  const withCreds = await program();
  core.saveState("program", withCreds);
  const command = core.getInput("run", { trimWhitespace: false });
  if (command.trim()) await wrap(withCreds, command);
  else await start(withCreds);
}

async function start(withCreds: string): Promise<void> {
  const args = ["start", "--format", "github"];
  // The parent of this process is the runner's worker, which lives as long as the job. In a container job it is outside of the container (docker exec), and
  // has no number in it: there is nothing to watch, and the container's end is the end of everything in it.
  if (process.ppid > 1) args.push("--watch", String(process.ppid));
  const timeout = core.getInput("job-timeout");
  if (timeout) args.push("--job-timeout", timeout);
  const ended = await say(withCreds, args, environment(), "for the runner");
  if (ended.code !== 0) {
    process.exitCode = ended.code;
    return core.error(`no credentials were issued (exit code ${ended.code})`);
  }
  const found = /^session<<(.+)\n(.*)\n\1$/m.exec(readFileSync(process.env["GITHUB_OUTPUT"]!, "utf8"));
  core.saveState("session", found![2]!);
}

async function wrap(withCreds: string, command: string): Promise<void> {
  const dir = mkdtempSync(join(process.env["RUNNER_TEMP"] ?? "/tmp", "with-creds-receipt-"));
  const receipt = join(dir, "receipt.json");
  const shell = core.getInput("shell") || "bash";
  const flags = shell === "bash" ? ["--noprofile", "--norc", "-eo", "pipefail", "-c"] : ["-ec"];
  const args = ["--receipt", receipt, "--", shell, ...flags, command];
  const child = spawn(withCreds, args, { env: environment(), stdio: "inherit" });
  forwardSignals(child);
  const code = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(code ?? (signal ? 1 : 0)));
  });
  try {
    await core.summary.addRaw(summary(JSON.parse(readFileSync(receipt, "utf8")) as Receipt)).write();
  } catch {
    core.debug("there is no receipt, or nowhere to show it");
  }
  rmSync(dir, { recursive: true, force: true });
  process.exitCode = code;
  if (code !== 0) core.error(`the command, or with-creds, ended with exit code ${code}`);
}

main().catch((err: unknown) => core.setFailed(err instanceof Error ? err.message : String(err)));
