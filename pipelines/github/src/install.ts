import * as core from "@actions/core";
import { HttpClient } from "@actions/http-client";
import { execFileSync } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { accessSync, constants, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";

const releases = "https://github.com/with-creds/with-creds/releases/download";

// program is with-creds: the one on PATH, or the release that `version` names, whose archive must have the checksum that `sha256` gives or else the one
// in the release's own list.
export async function program(): Promise<string> {
  const version = core.getInput("version").replace(/^v/, "");
  if (!version) {
    const found = onPath("with-creds");
    if (found) return found;
    throw new Error("with-creds is not on PATH: install it in a step before, or set the input `version`");
  }
  if (!/^\d+\.\d+\.\d+[-.0-9A-Za-z]*$/.test(version)) throw new Error(`version: ${JSON.stringify(version)} is not a release such as 1.2.3`);
  return install(version);
}

function onPath(name: string): string | undefined {
  for (const dir of (process.env["PATH"] ?? "").split(delimiter)) {
    try {
      accessSync(join(dir, name), constants.X_OK);
      return join(dir, name);
    } catch {
      continue;
    }
  }
  return undefined;
}

async function install(version: string): Promise<string> {
  const arch = { x64: "amd64", arm64: "arm64" }[process.arch as string];
  const system = { linux: "linux", darwin: "darwin" }[process.platform as string];
  if (!arch || !system) throw new Error(`there is no release for ${process.platform} on ${process.arch}`);
  const base = `${core.getInput("releases") || releases}/v${version}`;
  const archive = `with-creds_${version}_${system}_${arch}.tar.gz`;
  let want = core.getInput("sha256").toLowerCase();
  if (!want) {
    const list = (await fetched(`${base}/checksums.txt`)).toString("utf8");
    want = list.split("\n").map((l) => l.trim().split(/\s+/)).find((words) => words[1] === archive)?.[0] ?? "";
    if (!want) throw new Error(`${base}/checksums.txt: ${archive} is not in it`);
  }
  if (!/^[0-9a-f]{64}$/.test(want)) throw new Error(`sha256: ${JSON.stringify(want)} is no SHA-256 in hexadecimal digits`);
  const temporary = process.env["RUNNER_TEMP"] ?? tmpdir();
  const content = await verified(`${base}/${archive}`, want, join(process.env["RUNNER_TOOL_CACHE"] ?? temporary, "with-creds", version, want, archive));
  const dir = mkdtempSync(join(temporary, "with-creds-"));
  writeFileSync(join(dir, archive), content);
  execFileSync("tar", ["-xzf", archive, "with-creds"], { cwd: dir, stdio: ["ignore", "inherit", "inherit"] });
  core.addPath(dir);
  core.info(`installed with-creds ${version}, sha256 ${want}`);
  return join(dir, "with-creds");
}

// verified is the archive, from the runner's tool cache or else from the release. Another job may have written to the cache: what is in it is trusted as
// little as what comes over the network.
async function verified(url: string, want: string, cached: string): Promise<Buffer> {
  const sum = (content: Buffer) => createHash("sha256").update(content).digest("hex");
  try {
    const content = readFileSync(cached);
    if (sum(content) === want) return content;
  } catch {
    core.debug(`${cached} is not there`);
  }
  const content = await fetched(url);
  const got = sum(content);
  if (got !== want) throw new Error(`${url}: its checksum is ${got}, and should be ${want}`);
  try {
    mkdirSync(dirname(cached), { recursive: true });
    const fresh = `${cached}.${randomUUID()}`;
    writeFileSync(fresh, content);
    renameSync(fresh, cached);
  } catch (err) {
    core.debug(`it is not kept for the next job: ${String(err)}`);
  }
  return content;
}

// How often a file is asked for, how long without a word from the server, and how long in all, in milliseconds.
const attempts = 3, silence = 30_000, longest = 300_000;

// fetched goes through HTTPS_PROXY and HTTP_PROXY, but for NO_PROXY. What may pass is tried again: an error on the way, or one of the server's own.
async function fetched(url: string): Promise<Buffer> {
  const client = new HttpClient("with-creds-action", [], { socketTimeout: silence });
  for (let attempt = 1; ; attempt++) {
    const { content, why, passes } = await answer(client, url);
    if (content) return content;
    if (attempt === attempts || !passes) throw new Error(`${url}: ${why}`);
    await new Promise((resolve) => setTimeout(resolve, 1000 * attempt));
  }
}

async function answer(client: HttpClient, url: string): Promise<{ content?: Buffer; why?: string; passes?: boolean }> {
  try {
    const { message } = await client.get(url);
    const deadline = setTimeout(() => message.destroy(new Error(`the download took longer than ${longest / 1000} s`)), longest);
    try {
      const parts: Buffer[] = [];
      for await (const part of message) parts.push(part as Buffer);
      const status = message.statusCode ?? 0;
      if (status === 200) return { content: Buffer.concat(parts) };
      return { why: `${status} ${message.statusMessage}`, passes: status >= 500 || status === 429 };
    } finally {
      clearTimeout(deadline);
    }
  } catch (err) {
    return { why: err instanceof Error ? err.message : String(err), passes: true };
  }
}
