// node run.mjs MODULE [threads]: calls the functions of src/lib.rs; with `threads`, in two workers that share a memory.
import { readFileSync } from "node:fs";
import { Worker, isMainThread, workerData } from "node:worker_threads";
import { fileURLToPath } from "node:url";

const STACK = 1 << 20;

if (isMainThread) {
  const [path, threads] = process.argv.slice(2);
  const module = new WebAssembly.Module(readFileSync(path));
  const memory = threads && new WebAssembly.Memory({ initial: 64, maximum: 4096, shared: true });
  const { exports } = new WebAssembly.Instance(module, threads ? { env: { memory } } : {});
  exports.one_thread();
  exports.without_a_clock();
  if (threads) {
    const workers = [1, 2].map((number) => {
      const data = { module, memory, number, stack: exports.allocate(STACK), locals: exports.allocate(1 << 16) };
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: data });
      return new Promise((resolve, reject) => worker.on("error", reject).on("exit", resolve));
    });
    const codes = await Promise.all(workers);
    if (codes.some((code) => code !== 0)) throw new Error(`the workers ended with ${codes}`);
  }
  console.log(`pass wasm32-unknown-unknown under Node, with std${threads ? ", in two workers" : ""}`);
} else {
  const { module, memory, number, stack, locals } = workerData;
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  if (exports.__tls_size.value > 1 << 16) throw new Error("the thread-locals need more room");
  exports.__stack_pointer.value = stack + STACK;
  exports.__wasm_init_tls(locals);
  exports.one_of_many_threads(number);
}
