// Prints which of the TraceQL queries on standard input (a JSON list) Grafana's grammar has no tree for.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const grammar = join(process.argv[2], "@grafana", "lezer-traceql", "index.es.js");
const { parser } = await import(pathToFileURL(grammar));
let text = "";
for await (const chunk of process.stdin) text += chunk;
const faulty = JSON.parse(text).filter((query) => {
  let bad = false;
  parser.parse(query).iterate({ enter: (node) => { bad ||= node.type.isError; } });
  return bad;
});
console.log(JSON.stringify(faulty));
