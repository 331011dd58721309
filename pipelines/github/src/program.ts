import * as core from "@actions/core";
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { createInterface } from "node:readline";

// The signals by which a runner cancels a step (SIGINT, 7.5 s later SIGTERM, 2.5 s later SIGKILL) go to this process. They are with-creds' to judge,
// which revokes and ends; this process waits for it.
export function forwardSignals(to: ChildProcess): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => to.kill(signal));
  }
}

export interface Ended {
  code: number;
  stdout: string;
}

// say runs with-creds where its stderr is its own: its lines are JSON, and a warning becomes an annotation. stdout is passed on when it is for the runner
// to read, and is returned otherwise. It is a pipe in any case: some runners, such as act, give a step a terminal, on which with-creds shows no secret.
export function say(program: string, args: string[], env: NodeJS.ProcessEnv, stdout: "for the runner" | "returned"): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const stdio: StdioOptions = ["ignore", "pipe", "pipe"];
    const child = spawn(program, args, { env: { ...env, WITH_CREDS_LOG_FORMAT: "json" }, stdio });
    forwardSignals(child);
    let text = "";
    if (stdout === "returned") child.stdout!.setEncoding("utf8").on("data", (part: string) => (text += part));
    else child.stdout!.on("data", (part: Buffer) => process.stdout.write(part));
    createInterface({ input: child.stderr! }).on("line", annotate);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, stdout: text }));
  });
}

function annotate(line: string): void {
  let said: { level?: string; msg?: string };
  try {
    said = JSON.parse(line);
  } catch {
    // Not one of its log: the last word of a failure.
    core.error(line);
    return;
  }
  const message = said.msg ?? line;
  if (said.level === "WARN" || said.level === "ERROR") core.warning(message);
  else core.info(`with-creds: ${message}`);
}
