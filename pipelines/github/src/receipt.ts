// The receipt of a session or run, schema 1, as far as the summary shows it. It holds no secret.
export interface Receipt {
  schema: number;
  run: string;
  started: string;
  ended: string;
  exit_code: number;
  error?: string;
  credentials: Credential[] | null;
}

export interface Credential {
  source: string;
  lease?: string;
  username?: string;
  variables: string[] | null;
  issued: string;
  ttl: number;
  renewals: number;
  replacements: number;
  revocation?: { proof: string; at: string; took_ms: number; error: string };
}
