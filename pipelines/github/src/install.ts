import * as core from "@actions/core";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, mkdtempSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

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
  const content = await fetched(`${base}/${archive}`);
  let want = core.getInput("sha256").toLowerCase();
  if (!want) {
    const list = (await fetched(`${base}/checksums.txt`)).toString("utf8");
    want = list.split("\n").map((l) => l.trim().split(/\s+/)).find((words) => words[1] === archive)?.[0] ?? "";
  }
  const got = createHash("sha256").update(content).digest("hex");
  if (got !== want) throw new Error(`${archive}: its checksum is ${got}, and should be ${want || "in checksums.txt"}`);
  const dir = mkdtempSync(join(process.env["RUNNER_TEMP"] ?? "/tmp", "with-creds-"));
  writeFileSync(join(dir, archive), content);
  execFileSync("tar", ["-xzf", archive, "with-creds"], { cwd: dir, stdio: ["ignore", "inherit", "inherit"] });
  core.addPath(dir);
  core.info(`installed with-creds ${version}, sha256 ${got}`);
  return join(dir, "with-creds");
}

async function fetched(url: string): Promise<Buffer> {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await fetch(url);
      if (answer.ok) return Buffer.from(await answer.arrayBuffer());
      if (attempt === 3 || answer.status < 500) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
    } catch (err) {
      if (attempt === 3) throw err;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000 * attempt));
  }
}
