// The panel under each exercise: below every cell that reads check("its-id").

import {ask, trouble} from "./server.js";

const CHECK = /^check\("([a-z0-9-]+)"\)/;
const ANSWER = /^# exercise: ([a-z0-9-]+) \(([a-z]+)\)\s*$/m;
const PAUSE = 120; // seconds without a key after which nobody is at work
const SEND = 60000; // milliseconds between reports of the time
const SLOW = 1000; // milliseconds after which a check says that it is at work, and how to stop it
const ACTIONS = ["check", "hint", "compare", "reset", "restore"];

export function plugin(lab) {
  return {
    id: "tl-course:panels",
    autoStart: true,
    requires: [lab.INotebookTracker],
    optional: [lab.ICommandPalette],
    activate: (app, tracker, palette) => {
      tracker.widgetAdded.connect((_, notebookPanel) => watch(lab, notebookPanel));
      tracker.forEach(notebookPanel => watch(lab, notebookPanel));
      window.addEventListener("keydown", keepPlainKeys, true);
      for (const name of ACTIONS) {
        const command = `tl-course:${name}`;
        app.commands.addCommand(command, {
          label: lab.text(name),
          isEnabled: () => !!current(tracker),
          execute: () => current(tracker)?.act(name)
        });
        if (palette) palette.addItem({command, category: lab.text("category")});
      }
    }
  };
}

// Keys without Ctrl, Alt or Command are for the panel that has the focus; in a notebook Enter would begin to edit a cell.
function keepPlainKeys(event) {
  const panel = event.target instanceof Element && event.target.closest(".tl-exercise");
  if (panel) panel.toggleAttribute("data-lm-suppress-shortcuts", !(event.ctrlKey || event.altKey || event.metaKey));
}

// The panel of the exercise that the active cell belongs to: the next check at or below it.
function current(tracker) {
  const notebook = tracker.currentWidget && tracker.currentWidget.content;
  if (!notebook) return null;
  const from = Math.max(0, notebook.activeCellIndex);
  const cell = notebook.widgets.slice(from).find(one => one.exercisePanel);
  return cell ? cell.exercisePanel : null;
}

async function watch(lab, notebookPanel) {
  await notebookPanel.context.ready;
  const notebook = notebookPanel.content;
  const attach = () => notebook.widgets.forEach(cell => {
    const found = cell.model.type === "code" && CHECK.exec(cell.model.sharedModel.getSource());
    if (found && !cell.exercisePanel) cell.exercisePanel = new ExercisePanel(lab, notebookPanel, cell, found[1]);
  });
  notebook.model.cells.changed.connect(attach);
  attach();
}

class ExercisePanel {
  constructor(lab, notebookPanel, cell, id) {
    Object.assign(this, {lab, notebookPanel, cell, id, seconds: 0, last: 0, busy: false});
    this.bar = document.createElement("div");
    this.said = document.createElement("div");
    this.said.className = "tl-said";
    this.said.setAttribute("role", "status");
    this.widget = new lab.Widget();
    this.widget.addClass("tl-exercise");
    this.widget.node.append(this.bar, this.said);
    this.widget.node.addEventListener("click", event => {
      const button = event.target.closest("[data-do]");
      if (button) this.act(button.dataset.do);
    });
    this.place();
    this.typed = event => this.work(event);
    notebookPanel.content.node.addEventListener("keydown", this.typed, true);
    this.timer = window.setInterval(() => this.report(), SEND);
    cell.disposed.connect(() => this.dispose());
  }

  // Cells are drawn when they come near the window; the panel stands below all that is drawn.
  async place() {
    await this.cell.ready;
    if (this.cell.isDisposed) return;
    this.cell.layout.addWidget(this.widget);
    await this.refresh();
  }

  async refresh() {
    try {
      const {html} = await ask(this.lab, `exercises/${this.id}`);
      const held = this.bar.contains(document.activeElement) && document.activeElement.dataset.do;
      this.bar.innerHTML = html;
      if (held) this.bar.querySelector(`[data-do=${held}]`)?.focus();
    } catch (error) {
      if (!this.bar.querySelector("[data-do]")) this.bar.replaceChildren(trouble(error)); // else the buttons stay
    }
  }

  async act(name) {
    if (this.busy) return;
    this.busy = true;
    this.widget.node.setAttribute("aria-busy", "true");
    try {
      if (name === "check") await this.check();
      else await this.help(name);
    } catch (error) {
      this.said.replaceChildren(trouble(error));
    }
    await this.refresh();
    this.busy = false;
    this.widget.node.removeAttribute("aria-busy");
  }

  async help(name) {
    const cells = Object.fromEntries(this.answers().map(([framework, cell]) => [framework, source(cell)]));
    const answer = await ask(this.lab, `exercises/${this.id}/${name}`, {cells, seconds: this.taken()});
    for (const [framework, text] of Object.entries(answer.cells || {})) this.fill(framework, text);
    this.said.innerHTML = answer.html || "";
  }

  // Run the answers, then the check below them: what it says stands where it always stands.
  async check() {
    this.said.replaceChildren();
    const slow = window.setTimeout(() => { this.said.textContent = this.lab.text("checking"); }, SLOW);
    try {
      const session = this.notebookPanel.sessionContext;
      await session.ready;
      const cells = [...this.answers().map(([, cell]) => cell), this.cell];
      const first = await this.unready(session);
      await this.report();
      const {content} = this.notebookPanel;
      const ran = await this.lab.NotebookActions.runCells(content, first ? [first, ...cells] : cells, session);
      if (!ran) throw new Error(this.lab.text("stopped"));
    } finally {
      window.clearTimeout(slow);
      this.said.replaceChildren();
    }
  }

  // The lesson's first cell, where the kernel does not know check yet.
  async unready(session) {
    const kernel = session.session?.kernel;
    if (!kernel) throw new Error(this.lab.text("no-kernel"));
    let reply;
    try {
      reply = await kernel.requestExecute({code: "", silent: true, user_expressions: {known: "check"}}).done;
    } catch {
      throw new Error(this.lab.text("stopped")); // the kernel was restarted, or died
    }
    if (reply.content.user_expressions?.known?.status === "ok") return null;
    return this.notebookPanel.content.widgets.find(cell => /^start\(/m.test(source(cell)));
  }

  answers() {
    const named = this.notebookPanel.content.widgets.map(cell => [ANSWER.exec(source(cell)), cell]);
    return named.filter(([found, cell]) => found && found[1] === this.id && cell.model.type === "code")
      .map(([found, cell]) => [found[2], cell]);
  }

  // Put source text into the answer's cell, or into a new one above the check where there is none. Of several cells
  // with one answer it is the last: the one that was sent, and that a check judges.
  fill(framework, text) {
    const known = this.answers().findLast(([name]) => name === framework);
    if (known) {
      known[1].model.sharedModel.setSource(text);
    } else {
      const {widgets, model} = this.notebookPanel.content;
      model.sharedModel.insertCell(widgets.indexOf(this.cell), {cell_type: "code", source: text, metadata: {}});
    }
  }

  // Time at the answers' cells: from key to key, long pauses left out.
  work(event) {
    if (!this.answers().some(([, cell]) => cell.node.contains(event.target))) return;
    const now = Date.now() / 1000;
    if (now - this.last < PAUSE) this.seconds += now - this.last;
    this.last = now;
  }

  taken() {
    const seconds = this.seconds;
    this.seconds = 0;
    return seconds;
  }

  async report() {
    if (this.seconds < 1) return;
    const seconds = this.taken();
    try {
      await ask(this.lab, `exercises/${this.id}/work`, {seconds}, {keepalive: true});
    } catch {
      this.seconds += seconds; // the server is away: told next time
    }
  }

  dispose() {
    this.report();
    window.clearInterval(this.timer);
    this.notebookPanel.content.node.removeEventListener("keydown", this.typed, true);
    this.widget.dispose();
  }
}

function source(cell) {
  return cell.model.sharedModel.getSource();
}
