import type { Credential, Receipt } from "./receipt.js";

// summary is the job summary: a table, and a timeline of each credential's life. Everything in it that a server chose is escaped.
export function summary(receipt: Receipt): string {
  const credentials = receipt.credentials ?? [];
  if (credentials.length === 0) return "";
  const rows = credentials.map((c) =>
    [c.source, c.username ?? "", (c.variables ?? []).join(", "), time(c.issued), String(c.renewals), proof(c)].map(cell).join(" | "),
  );
  return [
    "### Credentials of this job",
    "",
    "| credential | user | variables | issued | renewals | revoked |",
    "|---|---|---|---|---|---|",
    ...rows.map((row) => `| ${row} |`),
    "",
    "```mermaid",
    "gantt",
    "  dateFormat YYYY-MM-DDTHH:mm:ss.SSSZ",
    "  axisFormat %H:%M:%S",
    ...credentials.flatMap((c, i) => [`  section ${label(c.source)}`, `  ${label(c.username || "credential " + (i + 1))} :${c.issued}, ${c.revocation?.at ?? receipt.ended}`]),
    "```",
    "",
  ].join("\n");
}

function proof(c: Credential): string {
  if (!c.revocation) return c.lease ? "**not known**" : "nothing to revoke";
  switch (c.revocation.proof) {
    case "proven":
      return `proven at ${time(c.revocation.at)}, in ${c.revocation.took_ms} ms`;
    case "expires":
      return `ends by itself at ${time(c.revocation.at)}`;
    default:
      return `**${c.revocation.proof}**${c.revocation.error ? ": " + c.revocation.error : ""}`;
  }
}

function time(at: string): string {
  return at.slice(11, 19) + " UTC";
}

// cell is text in a table of Markdown, which GitHub renders with HTML in it.
function cell(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/[\\`*_[\]|~]/g, (c) => (c === "*" || c === "_" ? c : "\\" + c)).replace(/\s+/g, " ");
}

// label is text in a diagram, where a colon, a semicolon and a hash mean something.
function label(text: string): string {
  return text.replace(/[^A-Za-z0-9._/ -]/g, " ").trim();
}
