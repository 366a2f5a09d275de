// Chooses a bundle, has the module beside it check it in a worker, and shows the answer. No address is ever asked for.
"use strict";
(function () {
  var SIGNS = { "holds": "✓", "wrong": "✗", "missing": "…", "says": "!", "cannot-tell": "?" };
  // By exit code.
  var VERDICTS = [
    { look: "good", sign: "✓", zh: "需要的都在，并且全部成立。", en: "Everything needed was there and holds." },
    { look: "poor", sign: "✗", zh: "有内容不成立，见标为“不成立”的各行。", en: "Something does not hold: see the lines marked FAILED." },
    { look: "fair", sign: "…", zh: "已有的都成立，但缺少需要的内容，见标为“缺少”的各行。", en: "What is there holds, and something needed is not there: see the lines marked missing." }
  ];

  var byId = function (id) { return document.getElementById(id); };
  var form = byId("form"), state = byId("state"), report = byId("report");
  var chosen = null, worker = null, limits = null;

  // What runs beside the page: a fresh module each time, in memory of its own. It answers `about`, `part` as it reads,
  // `answer`, or `failed`, which is never a verdict.
  function checker() {
    self.onmessage = async function (message) {
      try {
        var asked = message.data;
        var made = await WebAssembly.instantiate(asked.program, {});
        var module = made.instance.exports;
        // A call may make the memory larger, and a view of it from before is then of nothing.
        var view = function (at, length) { return new Uint8Array(module.memory.buffer, at >>> 0, length); };
        var said = function (length) {
          var bytes = view(module.inuse_answer(), length);
          return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
        };
        if (!asked.file) {
          self.postMessage({ about: said(module.inuse_about()) });
          return;
        }
        var known = new TextEncoder().encode(asked.known);
        view(module.inuse_known(known.length), known.length).set(known);
        var size = asked.file.size, start = module.inuse_bundle(size) >>> 0;
        for (var at = 0; at < size;) {
          var part = await asked.file.slice(at, Math.min(size, at + (4 << 20))).arrayBuffer();
          if (part.byteLength === 0) throw new Error("the file became shorter while it was read");
          view(start + at, part.byteLength).set(new Uint8Array(part));
          at += part.byteLength;
          self.postMessage({ part: at / size });
        }
        self.postMessage({ answer: said(module.inuse_check()) });
      } catch (error) {
        self.postMessage({ failed: String(error) });
      }
    };
  }
  var source = URL.createObjectURL(new Blob(["(" + checker + ")()"], { type: "text/javascript" }));

  function program() {
    var text = atob(byId("program").textContent.trim());
    var bytes = new Uint8Array(text.length);
    for (var i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  function stop() {
    if (worker) worker.terminate();
    worker = null;
  }

  // Asks the module; `see` gets each of its messages.
  function ask(file, known, see) {
    stop();
    try {
      var asked = worker = new Worker(source);
      var fails = function (event) { if (worker === asked) see({ failed: event.message || event.type }); };
      asked.onerror = asked.onmessageerror = fails;
      asked.onmessage = function (message) { if (worker === asked) see(message.data); };
      asked.postMessage({ program: program(), file: file, known: known });
    } catch (error) {
      see({ failed: String(error) });
    }
  }

  function both(zh, en) {
    var parts = document.createDocumentFragment();
    [["zh", zh], ["en", en]].forEach(function (part) {
      var span = document.createElement("span");
      span.lang = part[0];
      span.textContent = part[1];
      parts.append(span);
    });
    return parts;
  }

  function say(kind, zh, en) {
    document.body.dataset.state = kind;
    state.className = kind;
    state.replaceChildren(both(zh, en));
  }

  function failed(zh, en) {
    stop();
    report.hidden = true;
    byId("check").disabled = !(chosen && limits);
    say("failed", "未能核对，没有结论。" + zh, "Could not be checked; there is no verdict. " + (en || zh));
  }

  // A verdict stands only beside what it is of.
  function changed() {
    if (limits) {
      stop();
      say("ready", "", "");
    }
    report.hidden = true;
    byId("check").disabled = !(chosen && limits);
  }

  function size(bytes) {
    var group = function (n) { return String(n).replace(/\B(?=(\d{3})+$)/g, ","); };
    return group(bytes) + " B" + (bytes < 1 << 20 ? "" : " (" + (bytes / (1 << 20)).toFixed(1) + " MiB)");
  }

  function choose(file) {
    chosen = file || null;
    var name = document.createElement("bdi");
    name.textContent = chosen ? chosen.name : "";
    byId("chosen").replaceChildren(name);
    if (chosen) byId("chosen").append(" · " + size(chosen.size));
    changed();
  }

  function fact(zh, en, value) {
    var term = document.createElement("dt"), text = document.createElement("dd");
    term.append(both(zh, en));
    text.className = "wrap num";
    text.append(value);
    byId("facts").append(term, text);
  }

  function show(file, known, answer) {
    var verdict = VERDICTS[answer.code];
    if (!verdict) throw new Error("a verdict that this page does not know");
    byId("verdict").className = "badge big " + verdict.look;
    byId("verdict").querySelector("i").textContent = verdict.sign;
    byId("verdict").querySelector("b").textContent = answer.verdict.zh + " " + answer.verdict.en;
    byId("means").replaceChildren(both(verdict.zh, verdict.en));
    byId("facts").replaceChildren();
    var name = document.createElement("bdi");
    name.textContent = file.name;
    fact("文件", "File", name);
    fact("大小", "Size", size(file.size));
    fact("SHA-256", "SHA-256", answer.sha256);
    if (answer.given === "log key") fact("另行给出的日志公钥", "Log key given from elsewhere", known.trim());
    else if (answer.given === "policy") fact("另行给出的策略", "Policy given from elsewhere", known.trim());
    else fact("另行给出的日志公钥或策略", "Log key or policy from elsewhere", both("未给出", "not given"));
    fact("核对时间（本机时钟）", "Checked at (this machine's clock)", new Date().toLocaleString("sv-SE"));
    fact("程序", "Program", "inuse-verify " + limits.version);
    byId("lines").replaceChildren.apply(byId("lines"), answer.lines.map(function (line) {
      var row = document.createElement("tr"), mark = row.insertCell(), text = row.insertCell();
      row.className = line.kind;
      var sign = document.createElement("i");
      sign.setAttribute("aria-hidden", "true");
      sign.textContent = SIGNS[line.kind];
      mark.append(sign, both(line.mark.zh, line.mark.en));
      text.append(both(line.text.zh, line.text.en));
      return row;
    }));
    report.hidden = false;
    say("done", "", "");
    report.scrollIntoView();
  }

  function check() {
    var file = chosen, known = byId("known").value;
    report.hidden = true;
    if (file.size > limits.max_bundle) {
      failed("证据包大于 " + (limits.max_bundle >> 20) + " MiB，请用命令行 inuse-verify 核对。",
        "The bundle is larger than " + (limits.max_bundle >> 20) + " MiB: use the command inuse-verify.");
      return;
    }
    byId("check").disabled = true;
    say("busy", "正在读入……", "Reading …");
    ask(file, known, function (said) {
      try {
        if (said.part < 1) {
          var percent = Math.floor(said.part * 100) + " %";
          say("busy", "正在读入…… " + percent, "Reading … " + percent);
        } else if (said.part) {
          say("busy", "正在核对……大的证据包需要几分钟", "Checking … a large bundle takes minutes");
        } else if (said.answer && said.answer.not_checked) {
          failed(said.answer.not_checked.zh, said.answer.not_checked.en);
        } else if (said.answer) {
          stop();
          show(file, known, said.answer);
          byId("check").disabled = false;
        } else {
          failed(said.failed || "");
        }
      } catch (error) {
        failed(String(error));
      }
    });
  }

  byId("bundle").addEventListener("change", function (event) { choose(event.target.files[0]); });
  byId("known").addEventListener("input", changed);
  byId("known-file").addEventListener("change", function (event) {
    var file = event.target.files[0];
    if (!file || !limits) return;
    changed();
    if (file.size > limits.max_known) {
      failed("策略或公钥文件过大。", "The file of policy or key is too large.");
      return;
    }
    file.text().then(function (text) { byId("known").value = text; changed(); }, function (error) { failed(String(error)); });
  });
  form.addEventListener("submit", function (event) {
    event.preventDefault();
    if (chosen && limits) check();
  });
  document.addEventListener("dragover", function (event) { event.preventDefault(); byId("drop").classList.add("over"); });
  document.addEventListener("dragleave", function () { byId("drop").classList.remove("over"); });
  document.addEventListener("drop", function (event) {
    event.preventDefault();
    byId("drop").classList.remove("over");
    if (event.dataTransfer.files.length) {
      byId("bundle").files = event.dataTransfer.files;
      choose(event.dataTransfer.files[0]);
    }
  });
  byId("language").addEventListener("click", function () {
    var root = document.documentElement;
    root.lang = root.lang === "en" ? "zh-CN" : "en";
  });
  byId("print").addEventListener("click", function () { window.print(); });

  say("starting", "", "");
  ask(null, "", function (said) {
    if (!said.about) {
      failed(said.failed || "");
      return;
    }
    stop();
    limits = said.about;
    byId("version").textContent = limits.version;
    changed();
  });
})();
