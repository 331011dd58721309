// The action's last step, which the runner takes on success, failure and cancel alike: revokes what the first has issued, and shows the proof.
import * as core from "@actions/core";
import { say } from "./program.js";
import type { Receipt } from "./receipt.js";
import { summary } from "./summary.js";

async function post(): Promise<void> {
  const session = core.getState("session");
  if (!session) return; // nothing was issued, or it ended with the command
  const ended = await say(core.getState("program"), ["stop", "--session", session, "--json"], process.env, "returned");
  if (ended.stdout) {
    try {
      await core.summary.addRaw(summary(JSON.parse(ended.stdout) as Receipt)).write();
    } catch (err) {
      core.debug(`no summary: ${String(err)}`);
    }
  }
  if (ended.code !== 0) core.setFailed(`the revocation of this job's credentials is not proven (exit code ${ended.code})`);
}

post().catch((err: unknown) => core.setFailed(err instanceof Error ? err.message : String(err)));
