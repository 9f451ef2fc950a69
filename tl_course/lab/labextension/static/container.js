// What JupyterLab loads: a module-federation container written by hand, so that the extension needs no build step.
// JupyterLab hands over its own libraries (init) and then asks for the plugins (get).
(function () {
  const folder = document.currentScript.src.replace(/[^/]*$/, "");
  const NAMES = ["@jupyterlab/application", "@jupyterlab/apputils", "@jupyterlab/coreutils", "@jupyterlab/launcher",
    "@jupyterlab/notebook", "@jupyterlab/rendermime", "@jupyterlab/services", "@lumino/widgets"];
  let shared;

  // A library's exports; none where this application has it not, as Jupyter Notebook has no launcher.
  async function library(name) {
    const [version] = Object.values(shared[name] || {});
    return version ? (await version.get())() : {};
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["tl-course"] = {
    init: scope => { shared = scope; },
    get: async () => {
      const libraries = await Promise.all(NAMES.map(library));
      const lab = Object.assign({}, ...libraries);
      let texts = {};
      lab.text = name => texts[name] ?? name;
      const {ask} = await import(`${folder}server.js`);
      const names = ["descriptions", "home", "panels"];
      const imports = names.map(name => import(`${folder}${name}.js`));
      const [known, ...modules] = await Promise.all([ask(lab, "texts").catch(() => ({})), ...imports]);
      texts = known;
      const sheet = Object.assign(document.createElement("link"), {rel: "stylesheet", href: folder + "panels.css"});
      document.head.append(sheet);
      const exported = {__esModule: true, default: modules.map(module => module.plugin(lab))};
      return () => exported;
    }
  };
})();
