// Reads the AsyncAPI document with AsyncAPI's own parser. Fails at its first error.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const errors = diagnostics.filter((found) => found.severity === 0);
if (!document || errors.length) throw new Error(JSON.stringify(errors, null, 1));
console.log("messages", document.components().messages().all().map((message) => message.id()).sort().join(" "));
