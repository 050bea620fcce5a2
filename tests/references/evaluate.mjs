// Evaluates JSONata expressions: reads one {"expression", "bindings"} a line, writes one {"value"} or {"error"} a line.
// Started in the folder that holds node_modules, whose path is the first argument.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const jsonata = createRequire(`${process.argv[2]}/`)("jsonata");

async function answer({ expression, bindings }) {
  try {
    const compiled = jsonata(expression);
    compiled.registerFunction("parse", JSON.parse); // Step Functions adds it
    const value = await compiled.evaluate(null, bindings);
    return value === undefined ? { nothing: true } : { value };
  } catch (error) {
    return { error: error.code ?? String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + "\n");
}
