"use strict";
var __create = Object.create;
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __getProtoOf = Object.getPrototypeOf;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toESM = (mod, isNodeMode, target) => (target = mod != null ? __create(__getProtoOf(mod)) : {}, __copyProps(
  // If the importer is in node compatibility mode or this is not an ESM
  // file that has been converted to a CommonJS file using a Babel-
  // compatible transform (i.e. "__esModule" has not been set), then set
  // "default" to the CommonJS "module.exports" for node compatibility.
  isNodeMode || !mod || !mod.__esModule ? __defProp(target, "default", { value: mod, enumerable: true }) : target,
  mod
));

// node_modules/@actions/core/lib/command.js
var os = __toESM(require("os"), 1);

// node_modules/@actions/core/lib/utils.js
function toCommandValue(input) {
  if (input === null || input === void 0) {
    return "";
  } else if (typeof input === "string" || input instanceof String) {
    return input;
  }
  return JSON.stringify(input);
}
function toCommandProperties(annotationProperties) {
  if (!Object.keys(annotationProperties).length) {
    return {};
  }
  return {
    title: annotationProperties.title,
    file: annotationProperties.file,
    line: annotationProperties.startLine,
    endLine: annotationProperties.endLine,
    col: annotationProperties.startColumn,
    endColumn: annotationProperties.endColumn
  };
}

// node_modules/@actions/core/lib/command.js
function issueCommand(command, properties, message) {
  const cmd = new Command(command, properties, message);
  process.stdout.write(cmd.toString() + os.EOL);
}
var CMD_STRING = "::";
var Command = class {
  constructor(command, properties, message) {
    if (!command) {
      command = "missing.command";
    }
    this.command = command;
    this.properties = properties;
    this.message = message;
  }
  toString() {
    let cmdStr = CMD_STRING + this.command;
    if (this.properties && Object.keys(this.properties).length > 0) {
      cmdStr += " ";
      let first = true;
      for (const key in this.properties) {
        if (this.properties.hasOwnProperty(key)) {
          const val = this.properties[key];
          if (val) {
            if (first) {
              first = false;
            } else {
              cmdStr += ",";
            }
            cmdStr += `${key}=${escapeProperty(val)}`;
          }
        }
      }
    }
    cmdStr += `${CMD_STRING}${escapeData(this.message)}`;
    return cmdStr;
  }
};
function escapeData(s) {
  return toCommandValue(s).replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A");
}
function escapeProperty(s) {
  return toCommandValue(s).replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A").replace(/:/g, "%3A").replace(/,/g, "%2C");
}

// node_modules/@actions/core/lib/file-command.js
var crypto = __toESM(require("crypto"), 1);
var fs = __toESM(require("fs"), 1);
var os2 = __toESM(require("os"), 1);
function issueFileCommand(command, message) {
  const filePath = process.env[`GITHUB_${command}`];
  if (!filePath) {
    throw new Error(`Unable to find environment variable for file command ${command}`);
  }
  if (!fs.existsSync(filePath)) {
    throw new Error(`Missing file at path: ${filePath}`);
  }
  fs.appendFileSync(filePath, `${toCommandValue(message)}${os2.EOL}`, {
    encoding: "utf8"
  });
}
function prepareKeyValueMessage(key, value) {
  const delimiter3 = `ghadelimiter_${crypto.randomUUID()}`;
  const convertedValue = toCommandValue(value);
  if (key.includes(delimiter3)) {
    throw new Error(`Unexpected input: name should not contain the delimiter "${delimiter3}"`);
  }
  if (convertedValue.includes(delimiter3)) {
    throw new Error(`Unexpected input: value should not contain the delimiter "${delimiter3}"`);
  }
  return `${key}<<${delimiter3}${os2.EOL}${convertedValue}${os2.EOL}${delimiter3}`;
}

// node_modules/@actions/core/lib/core.js
var os4 = __toESM(require("os"), 1);
var path = __toESM(require("path"), 1);

// node_modules/@actions/core/lib/summary.js
var import_os = require("os");
var import_fs = require("fs");
var __awaiter = function(thisArg, _arguments, P, generator) {
  function adopt(value) {
    return value instanceof P ? value : new P(function(resolve) {
      resolve(value);
    });
  }
  return new (P || (P = Promise))(function(resolve, reject) {
    function fulfilled(value) {
      try {
        step(generator.next(value));
      } catch (e) {
        reject(e);
      }
    }
    function rejected(value) {
      try {
        step(generator["throw"](value));
      } catch (e) {
        reject(e);
      }
    }
    function step(result) {
      result.done ? resolve(result.value) : adopt(result.value).then(fulfilled, rejected);
    }
    step((generator = generator.apply(thisArg, _arguments || [])).next());
  });
};
var { access, appendFile, writeFile } = import_fs.promises;
var SUMMARY_ENV_VAR = "GITHUB_STEP_SUMMARY";
var Summary = class {
  constructor() {
    this._buffer = "";
  }
  /**
   * Finds the summary file path from the environment, rejects if env var is not found or file does not exist
   * Also checks r/w permissions.
   *
   * @returns step summary file path
   */
  filePath() {
    return __awaiter(this, void 0, void 0, function* () {
      if (this._filePath) {
        return this._filePath;
      }
      const pathFromEnv = process.env[SUMMARY_ENV_VAR];
      if (!pathFromEnv) {
        throw new Error(`Unable to find environment variable for $${SUMMARY_ENV_VAR}. Check if your runtime environment supports job summaries.`);
      }
      try {
        yield access(pathFromEnv, import_fs.constants.R_OK | import_fs.constants.W_OK);
      } catch (_a) {
        throw new Error(`Unable to access summary file: '${pathFromEnv}'. Check if the file has correct read/write permissions.`);
      }
      this._filePath = pathFromEnv;
      return this._filePath;
    });
  }
  /**
   * Wraps content in an HTML tag, adding any HTML attributes
   *
   * @param {string} tag HTML tag to wrap
   * @param {string | null} content content within the tag
   * @param {[attribute: string]: string} attrs key-value list of HTML attributes to add
   *
   * @returns {string} content wrapped in HTML element
   */
  wrap(tag, content, attrs = {}) {
    const htmlAttrs = Object.entries(attrs).map(([key, value]) => ` ${key}="${value}"`).join("");
    if (!content) {
      return `<${tag}${htmlAttrs}>`;
    }
    return `<${tag}${htmlAttrs}>${content}</${tag}>`;
  }
  /**
   * Writes text in the buffer to the summary buffer file and empties buffer. Will append by default.
   *
   * @param {SummaryWriteOptions} [options] (optional) options for write operation
   *
   * @returns {Promise<Summary>} summary instance
   */
  write(options) {
    return __awaiter(this, void 0, void 0, function* () {
      const overwrite = !!(options === null || options === void 0 ? void 0 : options.overwrite);
      const filePath = yield this.filePath();
      const writeFunc = overwrite ? writeFile : appendFile;
      yield writeFunc(filePath, this._buffer, { encoding: "utf8" });
      return this.emptyBuffer();
    });
  }
  /**
   * Clears the summary buffer and wipes the summary file
   *
   * @returns {Summary} summary instance
   */
  clear() {
    return __awaiter(this, void 0, void 0, function* () {
      return this.emptyBuffer().write({ overwrite: true });
    });
  }
  /**
   * Returns the current summary buffer as a string
   *
   * @returns {string} string of summary buffer
   */
  stringify() {
    return this._buffer;
  }
  /**
   * If the summary buffer is empty
   *
   * @returns {boolen} true if the buffer is empty
   */
  isEmptyBuffer() {
    return this._buffer.length === 0;
  }
  /**
   * Resets the summary buffer without writing to summary file
   *
   * @returns {Summary} summary instance
   */
  emptyBuffer() {
    this._buffer = "";
    return this;
  }
  /**
   * Adds raw text to the summary buffer
   *
   * @param {string} text content to add
   * @param {boolean} [addEOL=false] (optional) append an EOL to the raw text (default: false)
   *
   * @returns {Summary} summary instance
   */
  addRaw(text, addEOL = false) {
    this._buffer += text;
    return addEOL ? this.addEOL() : this;
  }
  /**
   * Adds the operating system-specific end-of-line marker to the buffer
   *
   * @returns {Summary} summary instance
   */
  addEOL() {
    return this.addRaw(import_os.EOL);
  }
  /**
   * Adds an HTML codeblock to the summary buffer
   *
   * @param {string} code content to render within fenced code block
   * @param {string} lang (optional) language to syntax highlight code
   *
   * @returns {Summary} summary instance
   */
  addCodeBlock(code, lang) {
    const attrs = Object.assign({}, lang && { lang });
    const element = this.wrap("pre", this.wrap("code", code), attrs);
    return this.addRaw(element).addEOL();
  }
  /**
   * Adds an HTML list to the summary buffer
   *
   * @param {string[]} items list of items to render
   * @param {boolean} [ordered=false] (optional) if the rendered list should be ordered or not (default: false)
   *
   * @returns {Summary} summary instance
   */
  addList(items, ordered = false) {
    const tag = ordered ? "ol" : "ul";
    const listItems = items.map((item) => this.wrap("li", item)).join("");
    const element = this.wrap(tag, listItems);
    return this.addRaw(element).addEOL();
  }
  /**
   * Adds an HTML table to the summary buffer
   *
   * @param {SummaryTableCell[]} rows table rows
   *
   * @returns {Summary} summary instance
   */
  addTable(rows) {
    const tableBody = rows.map((row) => {
      const cells = row.map((cell2) => {
        if (typeof cell2 === "string") {
          return this.wrap("td", cell2);
        }
        const { header, data, colspan, rowspan } = cell2;
        const tag = header ? "th" : "td";
        const attrs = Object.assign(Object.assign({}, colspan && { colspan }), rowspan && { rowspan });
        return this.wrap(tag, data, attrs);
      }).join("");
      return this.wrap("tr", cells);
    }).join("");
    const element = this.wrap("table", tableBody);
    return this.addRaw(element).addEOL();
  }
  /**
   * Adds a collapsable HTML details element to the summary buffer
   *
   * @param {string} label text for the closed state
   * @param {string} content collapsable content
   *
   * @returns {Summary} summary instance
   */
  addDetails(label2, content) {
    const element = this.wrap("details", this.wrap("summary", label2) + content);
    return this.addRaw(element).addEOL();
  }
  /**
   * Adds an HTML image tag to the summary buffer
   *
   * @param {string} src path to the image you to embed
   * @param {string} alt text description of the image
   * @param {SummaryImageOptions} options (optional) addition image attributes
   *
   * @returns {Summary} summary instance
   */
  addImage(src, alt, options) {
    const { width, height } = options || {};
    const attrs = Object.assign(Object.assign({}, width && { width }), height && { height });
    const element = this.wrap("img", null, Object.assign({ src, alt }, attrs));
    return this.addRaw(element).addEOL();
  }
  /**
   * Adds an HTML section heading element
   *
   * @param {string} text heading text
   * @param {number | string} [level=1] (optional) the heading level, default: 1
   *
   * @returns {Summary} summary instance
   */
  addHeading(text, level) {
    const tag = `h${level}`;
    const allowedTag = ["h1", "h2", "h3", "h4", "h5", "h6"].includes(tag) ? tag : "h1";
    const element = this.wrap(allowedTag, text);
    return this.addRaw(element).addEOL();
  }
  /**
   * Adds an HTML thematic break (<hr>) to the summary buffer
   *
   * @returns {Summary} summary instance
   */
  addSeparator() {
    const element = this.wrap("hr", null);
    return this.addRaw(element).addEOL();
  }
  /**
   * Adds an HTML line break (<br>) to the summary buffer
   *
   * @returns {Summary} summary instance
   */
  addBreak() {
    const element = this.wrap("br", null);
    return this.addRaw(element).addEOL();
  }
  /**
   * Adds an HTML blockquote to the summary buffer
   *
   * @param {string} text quote text
   * @param {string} cite (optional) citation url
   *
   * @returns {Summary} summary instance
   */
  addQuote(text, cite) {
    const attrs = Object.assign({}, cite && { cite });
    const element = this.wrap("blockquote", text, attrs);
    return this.addRaw(element).addEOL();
  }
  /**
   * Adds an HTML anchor tag to the summary buffer
   *
   * @param {string} text link text/content
   * @param {string} href hyperlink
   *
   * @returns {Summary} summary instance
   */
  addLink(text, href) {
    const element = this.wrap("a", text, { href });
    return this.addRaw(element).addEOL();
  }
};
var _summary = new Summary();
var summary = _summary;

// node_modules/@actions/core/lib/platform.js
var import_os2 = __toESM(require("os"), 1);

// node_modules/@actions/io/lib/io-util.js
var fs2 = __toESM(require("fs"), 1);
var { chmod, copyFile, lstat, mkdir, open, readdir, rename, rm, rmdir, stat, symlink, unlink } = fs2.promises;
var IS_WINDOWS = process.platform === "win32";
var READONLY = fs2.constants.O_RDONLY;

// node_modules/@actions/exec/lib/toolrunner.js
var IS_WINDOWS2 = process.platform === "win32";

// node_modules/@actions/core/lib/platform.js
var platform = import_os2.default.platform();
var arch = import_os2.default.arch();

// node_modules/@actions/core/lib/core.js
var ExitCode;
(function(ExitCode2) {
  ExitCode2[ExitCode2["Success"] = 0] = "Success";
  ExitCode2[ExitCode2["Failure"] = 1] = "Failure";
})(ExitCode || (ExitCode = {}));
function addPath(inputPath) {
  const filePath = process.env["GITHUB_PATH"] || "";
  if (filePath) {
    issueFileCommand("PATH", inputPath);
  } else {
    issueCommand("add-path", {}, inputPath);
  }
  process.env["PATH"] = `${inputPath}${path.delimiter}${process.env["PATH"]}`;
}
function getInput(name, options) {
  const val = process.env[`INPUT_${name.replace(/ /g, "_").toUpperCase()}`] || "";
  if (options && options.required && !val) {
    throw new Error(`Input required and not supplied: ${name}`);
  }
  if (options && options.trimWhitespace === false) {
    return val;
  }
  return val.trim();
}
function setFailed(message) {
  process.exitCode = ExitCode.Failure;
  error(message);
}
function debug(message) {
  issueCommand("debug", {}, message);
}
function error(message, properties = {}) {
  issueCommand("error", toCommandProperties(properties), message instanceof Error ? message.toString() : message);
}
function warning(message, properties = {}) {
  issueCommand("warning", toCommandProperties(properties), message instanceof Error ? message.toString() : message);
}
function info(message) {
  process.stdout.write(message + os4.EOL);
}
function saveState(name, value) {
  const filePath = process.env["GITHUB_STATE"] || "";
  if (filePath) {
    return issueFileCommand("STATE", prepareKeyValueMessage(name, value));
  }
  issueCommand("save-state", { name }, toCommandValue(value));
}

// src/main.ts
var import_node_child_process3 = require("node:child_process");
var import_node_fs2 = require("node:fs");
var import_node_path2 = require("node:path");

// src/install.ts
var import_node_child_process = require("node:child_process");
var import_node_crypto = require("node:crypto");
var import_node_fs = require("node:fs");
var import_node_path = require("node:path");
var releases = "https://github.com/with-creds/with-creds/releases/download";
async function program() {
  const version = getInput("version").replace(/^v/, "");
  if (!version) {
    const found = onPath("with-creds");
    if (found) return found;
    throw new Error("with-creds is not on PATH: install it in a step before, or set the input `version`");
  }
  if (!/^\d+\.\d+\.\d+[-.0-9A-Za-z]*$/.test(version)) throw new Error(`version: ${JSON.stringify(version)} is not a release such as 1.2.3`);
  return install(version);
}
function onPath(name) {
  for (const dir of (process.env["PATH"] ?? "").split(import_node_path.delimiter)) {
    try {
      (0, import_node_fs.accessSync)((0, import_node_path.join)(dir, name), import_node_fs.constants.X_OK);
      return (0, import_node_path.join)(dir, name);
    } catch {
      continue;
    }
  }
  return void 0;
}
async function install(version) {
  const arch2 = { x64: "amd64", arm64: "arm64" }[process.arch];
  const system = { linux: "linux", darwin: "darwin" }[process.platform];
  if (!arch2 || !system) throw new Error(`there is no release for ${process.platform} on ${process.arch}`);
  const base = `${getInput("releases") || releases}/v${version}`;
  const archive = `with-creds_${version}_${system}_${arch2}.tar.gz`;
  const content = await fetched(`${base}/${archive}`);
  let want = getInput("sha256").toLowerCase();
  if (!want) {
    const list = (await fetched(`${base}/checksums.txt`)).toString("utf8");
    want = list.split("\n").map((l) => l.trim().split(/\s+/)).find((words) => words[1] === archive)?.[0] ?? "";
  }
  const got = (0, import_node_crypto.createHash)("sha256").update(content).digest("hex");
  if (got !== want) throw new Error(`${archive}: its checksum is ${got}, and should be ${want || "in checksums.txt"}`);
  const dir = (0, import_node_fs.mkdtempSync)((0, import_node_path.join)(process.env["RUNNER_TEMP"] ?? "/tmp", "with-creds-"));
  (0, import_node_fs.writeFileSync)((0, import_node_path.join)(dir, archive), content);
  (0, import_node_child_process.execFileSync)("tar", ["-xzf", archive, "with-creds"], { cwd: dir, stdio: ["ignore", "inherit", "inherit"] });
  addPath(dir);
  info(`installed with-creds ${version}, sha256 ${got}`);
  return (0, import_node_path.join)(dir, "with-creds");
}
async function fetched(url) {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await fetch(url);
      if (answer.ok) return Buffer.from(await answer.arrayBuffer());
      if (attempt === 3 || answer.status < 500) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
    } catch (err) {
      if (attempt === 3) throw err;
    }
    await new Promise((resolve) => setTimeout(resolve, 1e3 * attempt));
  }
}

// src/program.ts
var import_node_child_process2 = require("node:child_process");
var import_node_readline = require("node:readline");
function forwardSignals(to) {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => to.kill(signal));
  }
}
function say(program2, args, env, stdout) {
  return new Promise((resolve, reject) => {
    const stdio = ["ignore", "pipe", "pipe"];
    const child = (0, import_node_child_process2.spawn)(program2, args, { env: { ...env, WITH_CREDS_LOG_FORMAT: "json" }, stdio });
    forwardSignals(child);
    let text = "";
    if (stdout === "returned") child.stdout.setEncoding("utf8").on("data", (part) => text += part);
    else child.stdout.on("data", (part) => process.stdout.write(part));
    (0, import_node_readline.createInterface)({ input: child.stderr }).on("line", annotate);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, stdout: text }));
  });
}
function annotate(line) {
  let said;
  try {
    said = JSON.parse(line);
  } catch {
    error(line);
    return;
  }
  const message = said.msg ?? line;
  if (said.level === "WARN" || said.level === "ERROR") warning(message);
  else info(`with-creds: ${message}`);
}

// src/summary.ts
function summary2(receipt) {
  const credentials = receipt.credentials ?? [];
  if (credentials.length === 0) return "";
  const rows = credentials.map(
    (c) => [c.source, c.username ?? "", (c.variables ?? []).join(", "), time(c.issued), String(c.renewals), proof(c)].map(cell).join(" | ")
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
    ""
  ].join("\n");
}
function proof(c) {
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
function time(at) {
  return at.slice(11, 19) + " UTC";
}
function cell(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/[\\`*_[\]|~]/g, (c) => c === "*" || c === "_" ? c : "\\" + c).replace(/\s+/g, " ");
}
function label(text) {
  return text.replace(/[^A-Za-z0-9._/ -]/g, " ").trim();
}

// src/main.ts
var settings = {
  credentials: "WITH_CREDS",
  leash: "WITH_CREDS_LEASH",
  config: "WITH_CREDS_CONFIG",
  "revoke-failure": "WITH_CREDS_REVOKE_FAILURE",
  "vault-addr": "VAULT_ADDR",
  "vault-namespace": "VAULT_NAMESPACE",
  "vault-auth": "WITH_CREDS_VAULT_AUTH",
  "vault-role": "WITH_CREDS_VAULT_ROLE",
  "vault-mount": "WITH_CREDS_VAULT_MOUNT",
  "vault-audience": "WITH_CREDS_VAULT_AUDIENCE"
};
function environment() {
  const env = { ...process.env };
  for (const [input, variable] of Object.entries(settings)) {
    const value = getInput(input, { trimWhitespace: input !== "credentials" });
    if (value) env[variable] = value;
  }
  for (const name of Object.keys(env)) {
    if (name.startsWith("INPUT_")) delete env[name];
  }
  delete env["WITH_CREDS_SESSION"];
  return env;
}
async function main() {
  const withCreds = await program();
  saveState("program", withCreds);
  const command = getInput("run", { trimWhitespace: false });
  if (command.trim()) await wrap(withCreds, command);
  else await start(withCreds);
}
async function start(withCreds) {
  const args = ["start", "--format", "github"];
  if (process.ppid > 1) args.push("--watch", String(process.ppid));
  const timeout = getInput("job-timeout");
  if (timeout) args.push("--job-timeout", timeout);
  const ended = await say(withCreds, args, environment(), "for the runner");
  if (ended.code !== 0) {
    process.exitCode = ended.code;
    return error(`no credentials were issued (exit code ${ended.code})`);
  }
  const found = /^session<<(.+)\n(.*)\n\1$/m.exec((0, import_node_fs2.readFileSync)(process.env["GITHUB_OUTPUT"], "utf8"));
  saveState("session", found[2]);
}
async function wrap(withCreds, command) {
  const dir = (0, import_node_fs2.mkdtempSync)((0, import_node_path2.join)(process.env["RUNNER_TEMP"] ?? "/tmp", "with-creds-receipt-"));
  const receipt = (0, import_node_path2.join)(dir, "receipt.json");
  const shell = getInput("shell") || "bash";
  const flags = shell === "bash" ? ["--noprofile", "--norc", "-eo", "pipefail", "-c"] : ["-ec"];
  const args = ["--receipt", receipt, "--", shell, ...flags, command];
  const child = (0, import_node_child_process3.spawn)(withCreds, args, { env: environment(), stdio: "inherit" });
  forwardSignals(child);
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code2, signal) => resolve(code2 ?? (signal ? 1 : 0)));
  });
  try {
    await summary.addRaw(summary2(JSON.parse((0, import_node_fs2.readFileSync)(receipt, "utf8")))).write();
  } catch {
    debug("there is no receipt, or nowhere to show it");
  }
  (0, import_node_fs2.rmSync)(dir, { recursive: true, force: true });
  process.exitCode = code;
  if (code !== 0) error(`the command, or with-creds, ended with exit code ${code}`);
}
main().catch((err) => setFailed(err instanceof Error ? err.message : String(err)));
