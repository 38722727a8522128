// Looks at a node's status page as people do: a wall screen, a telephone, light and dark, without scripts, and through a
// screen reader's eyes. Reads one order a line from its standard input, as JSON, and answers each with one line:
//   {"look": "well" | "away" | "lost", "url": …, "away": slot, "picture": file or nothing}    what the page must say
//   {"leave": url, "pid": …}       stops the node whose page is open, which must say that it is old
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/// WCAG 2.2 AA, 1.4.3, for text of any size.
const CONTRAST_MIN = 4.5;
const WIDE = { width: 1280, height: 800 }, NARROW = { width: 360, height: 740 };
const SAYING_MS_MAX = 20_000;
/// Not UTC, so that a time in the wrong zone is seen.
const ZONE = "Asia/Kolkata", ZONE_OFFSET_MIN = 330;

const root = process.getuid?.() === 0;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  chromiumSandbox: !root,
  args: ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

function must(holds, what) {
  if (!holds) throw new Error(what);
}

/// Opens the page; `outside` gathers what it asks of anybody else.
async function open(url, options) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, timezoneId: ZONE, viewport: WIDE, ...options });
  const page = await context.newPage();
  const asked = [], wrong = [];
  context.on("request", (request) => asked.push(request.url()));
  page.on("pageerror", (error) => wrong.push(`a script failed: ${error.message}`));
  page.on("console", (line) => line.type() === "error" && wrong.push(`the browser complains: ${line.text()}`));
  await page.goto(url, { waitUntil: "load", timeout: 15_000 });
  return { context, page, asked, wrong };
}

/// The words of the page, the tree a screen reader reads, and what follows which.
async function read(page) {
  const text = (await page.locator("body").innerText()).replace(/\s+/g, " ");
  return { text, tree: await page.locator("body").ariaSnapshot(), title: await page.title() };
}

function says(order, { text, tree, title }) {
  const { look, away } = order;
  const heading = { well: "Well", away: "Attention", lost: "Not accepting messages" }[look];
  must(tree.includes(`heading "${heading}" [level=1]`), `no heading ${heading}:\n${tree}`);
  must(title.startsWith(heading), `the title is ${title}`);
  const parts = {
    well: ["any one may be stopped now"],
    away: [`: ${away} does not answer`, `Node ${away}: It does not answer`, "Runbook “node-down”", "no answer since"],
    lost: ["What people can do now", "Nothing can be sent", ...(order.words ?? [])],
  }[look];
  for (const part of [...parts, "The last hour", "As node"]) must(text.includes(part), `“${part}” is missing:\n${text}`);
  if (look === "lost") must(/People are reading messages up to \d\d:\d\d( UTC)?\. Nothing/.test(text), `up to when?\n${text}`);
  else must(!text.includes("What people can do now"), `downtime words without need:\n${text}`);
}

/// Reads it until it says what it must: on a machine that is busy a node may be behind, or its disk stuck, for a moment.
async function saying(order, page) {
  for (const end = Date.now() + SAYING_MS_MAX; ; ) {
    const told = await read(page);
    try {
      says(order, told);
      return told;
    } catch (error) {
      if (Date.now() > end) throw error;
      await page.waitForTimeout(500);
      await page.reload({ waitUntil: "load" });
    }
  }
}

/// One main part, one first heading, no level left out, tables with headers; what matters most is read first.
function isReadable(order, tree) {
  must((tree.match(/- main:/g) ?? []).length === 1, `not one main part:\n${tree}`);
  const levels = [...tree.matchAll(/heading .*\[level=(\d)\]/g)].map((match) => Number(match[1]));
  must(levels.filter((level) => level === 1).length === 1 && levels[0] === 1, `headings ${levels}`);
  must(levels.every((level, at) => at === 0 || level <= levels[at - 1] + 1), `headings ${levels}`);
  must((tree.match(/columnheader "/g) ?? []).length === 8, `not eight columns:\n${tree}`);
  must((tree.match(/rowheader "/g) ?? []).length === 3, `not three rows:\n${tree}`);
  must((tree.match(/img "[^"]*: now .*, at most/g) ?? []).length === 4, `a curve that says nothing:\n${tree}`);
  const lost = order.look === "lost" ? ['heading "What people can do now"'] : [];
  const todo = order.look === "well" ? [] : ['heading "To do"'];
  const wanted = ["[level=1]", ...lost, ...todo, 'heading "Nodes"', 'columnheader "Node"', 'rowheader', 'heading "The last hour"'];
  let at = -1;
  for (const part of wanted) {
    const next = tree.indexOf(part, at + 1);
    must(next > at, `${part} is not read in its turn:\n${tree}`);
    at = next;
  }
}

/// What Chromium hands to a screen reader: on a narrow screen, too, the table is one.
async function isTable(page) {
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  const count = (role) => nodes.filter((node) => !node.ignored && node.role?.value === role).length;
  const found = ["table", "row", "columnheader", "rowheader", "cell"].map(count);
  must(found.join() === "1,4,8,3,21", `tables, rows, headers and cells: ${found}`);
}

/// What axe finds wrong, and the contrast of every piece of text as it is painted.
async function isAccessible(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const run = await axe.run(document, { resultTypes: ["violations", "incomplete", "passes"] });
    const brief = (results) => results.map((one) => `${one.id}: ${one.help} (${one.nodes.map((node) => node.html).join(" ")})`);
    const contrast = (results) => results.filter((one) => one.id === "color-contrast").flatMap((one) => one.nodes);
    const colours = contrast(run.passes).map((node) => [node.any[0].data.contrastRatio, node.html]);
    return { wrong: brief(run.violations), unsure: contrast(run.incomplete).map((node) => node.html), colours };
  });
  must(found.wrong.length === 0, found.wrong.join("\n"));
  must(found.unsure.length === 0, `contrast not known of ${found.unsure.join(" ")}`);
  must(found.colours.length > 20, `contrast of ${found.colours.length} pieces of text only`);
  const [least, of] = found.colours.reduce((one, other) => (other[0] < one[0] ? other : one));
  must(least >= CONTRAST_MIN, `contrast ${least}: ${of}`);
  return least;
}

async function fits(page, { width }) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  must(wide <= width, `${wide} pixels on a screen of ${width}`);
  const cut = await page.evaluate(() =>
    [...document.querySelectorAll("main *")]
      .filter((one) => one.clientWidth > 1 && !one.closest("svg") && one.scrollWidth > one.clientWidth + 1)
      .map((one) => one.outerHTML.slice(0, 120)));
  must(cut.length === 0, `cut off at ${width}: ${cut.join(" ")}`);
  const drawn = await page.locator("polyline").evaluateAll((all) => all.map((one) => one.getTotalLength()));
  must(drawn.length === 4 && drawn.every((length) => length > 0), `curves of ${drawn}`);
}

async function picture(page, file) {
  writeFileSync(`${file}.png`, await page.screenshot({ fullPage: true }));
  const session = await page.context().newCDPSession(page);
  const { cssContentSize } = await session.send("Page.getLayoutMetrics");
  const clip = { x: 0, y: 0, width: cssContentSize.width, height: cssContentSize.height, scale: 1 };
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 55, clip, captureBeyondViewport: true });
  writeFileSync(`${file}.webp`, Buffer.from(data, "base64"));
}

async function look(order) {
  const host = new URL(order.url).origin;
  let least = Infinity;
  for (const [name, options] of [
    ["wide", { colorScheme: "light" }], ["wide-dark", { colorScheme: "dark" }],
    ["narrow", { viewport: NARROW, colorScheme: "light" }], ["narrow-dark", { viewport: NARROW, colorScheme: "dark" }],
    ["plain", { javaScriptEnabled: false }],
  ]) {
    const { context, page, asked, wrong } = await open(order.url, options);
    try {
      const told = await saying(order, page);
      isReadable(order, told.tree);
      await isTable(page);
      await fits(page, options.viewport ?? WIDE);
      if (order.picture) await picture(page, `${order.picture}-${name}`);
      if (name === "plain") {
        must(await page.locator('meta[http-equiv="refresh"]').count() === 1, "without scripts it does not renew itself");
        must(told.text.includes(" UTC"), `a time without its zone:\n${told.text}`);
      } else {
        least = Math.min(least, await isAccessible(page));
        await isLocal(page);
      }
      const outside = asked.filter((url) => new URL(url).origin !== host);
      must(outside.length === 0, `it asks ${outside.join(" ")}`);
      must(asked.some((url) => url.endsWith("/status.css")), `it asks only ${asked.join(" ")}`);
      must(wrong.length === 0, wrong.join("\n"));
    } catch (error) {
      throw new Error(`${order.look}, ${name}: ${error.message}`);
    } finally {
      await context.close();
    }
  }
  return `says what it must in 5 ways, contrast at least ${least.toFixed(1)}`;
}

/// With scripts, times are those of the wall.
async function isLocal(page) {
  const times = await page.locator("time").evaluateAll((all) => all.map((one) => [one.dateTime, one.textContent]));
  must(times.length > 0, "no time is told");
  for (const [at, shown] of times) {
    const local = new Date(Date.parse(at) + ZONE_OFFSET_MIN * 60_000).toISOString().slice(11, 16);
    must(shown === local, `${at} is shown as ${shown}, not ${local}`);
  }
}

/// A page that is open renews itself, and says so when it no longer can.
async function leave({ leave: url, pid }) {
  const { context, page } = await open(url, {});
  try {
    const old = page.locator("#old");
    const renewed = page.waitForResponse((answer) => answer.url() === `${url}/` || answer.url() === url, { timeout: 15_000 });
    must((await renewed).ok(), "it does not renew itself");
    must(await old.isHidden(), "it says that it is old, and is not");
    process.kill(pid, "SIGKILL");
    await old.waitFor({ state: "visible", timeout: 20_000 });
    const words = await old.innerText();
    must(/not up to date.*Last renewed \d/.test(words), `it says: ${words}`);
    must(await old.getAttribute("role") === "alert", "a screen reader does not say so");
    must(await page.evaluate(() => getComputedStyle(document.querySelector("main")).filter !== "none"), "old colours stay");
    await isAccessible(page);
    return "says that it is old once its node is gone";
  } finally {
    await context.close();
  }
}

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    const done = await (order.look ? look(order) : leave(order)).catch((error) => ({ wrong: error.message }));
    console.log(JSON.stringify(done));
  }
} finally {
  await browser.close();
}
