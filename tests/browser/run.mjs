// Opens every page in Chromium as a person would: wide and narrow, light and dark, by keyboard.
//   node tests/browser/run.mjs BASE-URL ONE-TIME-SIGN-IN-URL
// Needs playwright-core and axe-core in target/browser; saves pictures to target/screenshots.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const top = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const target = process.env.CARGO_TARGET_DIR ?? path.join(top, "target");
const require = createRequire(path.join(target, "browser", "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const shots = path.join(target, "screenshots");
mkdirSync(shots, { recursive: true });

const [base, once] = process.argv.slice(2);
if (!base || !once) {
  console.error("usage: node tests/browser/run.mjs BASE-URL ONE-TIME-SIGN-IN-URL");
  process.exit(2);
}

const SIZES = [["wide", 1280, 900], ["narrow", 390, 844]];
const SCHEMES = ["light", "dark"];
const problems = [];
let checks = 0;
const check = (ok, text) => {
  checks += 1;
  if (!ok) problems.push(text);
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const noise = [];
  const listen = (p) => {
    p.on("console", (m) => { if (["error", "warning"].includes(m.type()) && !isExpected(m)) noise.push(`${p.url()}: ${m.text()}`); });
    p.on("pageerror", (e) => noise.push(`${p.url()}: ${e.message}`));
    p.on("request", (r) => { if (!r.url().startsWith(new URL(base).origin) && !r.url().startsWith("data:")) noise.push(`${p.url()} asks ${r.url()}`); });
  };
  // Chromium reports the answers 404 and 410 of the two pages that are asked for on purpose.
  const isExpected = (m) => m.text().startsWith("Failed to load resource") && /no-such-page|signin\/once/.test(m.location().url);
  listen(page);

  await signIn(page);
  const pages = await addresses(page);
  for (const [size, width, height] of SIZES) {
    await page.setViewportSize({ width, height });
    for (const scheme of SCHEMES) {
      await page.emulateMedia({ colorScheme: scheme });
      for (const [name, address] of pages) {
        await look(page, `${name}-${size}-${scheme}`, address);
      }
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
  await keyboard(page, pages);
  await withoutScript(context, pages);
  await page.emulateMedia({ media: "print" });
  await page.goto(base + pages.get("overview"));
  check(await page.locator(".side").isHidden(), "printed pages still show the navigation");
  await page.emulateMedia({ media: "screen" });
  await signOut(page);
  for (const line of noise) problems.push(`console: ${line}`);
} finally {
  await browser.close();
}

async function signIn(page) {
  const response = await page.goto(once);
  check(response.status() === 200, `one-time sign-in answers ${response.status()}`);
  await audit(page, "signin-once");
  await page.reload();
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Sign in" }).click()]);
  check(new URL(page.url()).pathname === "/", `signing in leads to ${page.url()}`);
}

/** Pages to open, found by following links as a person would. */
async function addresses(page) {
  const found = new Map([["overview", "/"], ["findings", "/findings"], ["hosts", "/hosts"], ["evidence", "/evidence"], ["hosts-known", "/hosts/known"], ["people", "/people"], ["privileged", "/people/privileged"],
    ["vulnerabilities", "/vulnerabilities"], ["certificates", "/certificates"], ["lists", "/lists"], ["list", "/lists/labels"], ["calendar", "/calendar"],
    ["calendar-groups", "/calendar?by=state"], ["commitments", "/commitments"], ["commitment-page", "/commitments/crm-cloud"],
    ["registers", "/registers"], ["due", "/registers/due?within=90"], ["register", "/registers/incidents"], ["register-people", "/registers/awareness-training"],
    ["record-form", "/registers/incidents/new"], ["sub-processors-published", "/registers/sub-processors/published"], ["search", "/search?q=ssh"], ["search-nothing", "/search?q=zzzz"],
    ["settings", "/settings"], ["account", "/settings/account"], ["sign-in-people", "/settings/users"], ["tokens", "/settings/tokens"], ["alerts", "/settings/alerts"], ["audit", "/audit"], ["enrol", "/enrol"], ["enrol-wait", "/enrol/wait"], ["grant", "/grant"],
    ["all-findings", "/findings?verdict=all"], ["causes", "/findings?view=groups"], ["waivers", "/waivers"], ["waiver-new", "/waivers/new"],
    ["assignments", "/assignments"], ["review", "/findings/review"]]);
  const first = async (from, selector, name) => {
    await page.goto(base + from);
    const link = page.locator(selector).first();
    if (await link.count()) found.set(name, await link.getAttribute("href"));
    else problems.push(`${from} links to no ${name}`);
  };
  await first("/findings?verdict=all", 'main tbody a[href^="/findings/"]', "finding");
  await first("/hosts", 'main tbody a[href^="/hosts/"]', "host");
  await first("/settings/users", 'main tbody a[href^="/settings/users/"]', "sign-in-person");
  await first("/audit", 'main tbody a[href^="/audit/"]', "leaf");
  await waive(page, found);
  found.set("compare", `${found.get("host")}/compare`);
  await first("/registers/incidents", 'main tbody a[href^="/registers/incidents/"]', "record");
  found.set("record-change", `${found.get("record")}/change`);
  found.set("notification", `${found.get("record")}/notification`);
  await first("/registers/access-reviews", 'main tbody a[href^="/registers/access-reviews/"]', "access-review");
  const unknown = page.locator('main tbody a[href^="/findings/"]').first();
  await page.goto(`${base}/findings?verdict=unknown`);
  if (await unknown.count()) found.set("unknown-finding", await unknown.getAttribute("href"));
  const day = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
  found.set("overview-as-of", `/?as_of=${day}`);
  found.set("not-found", "/no-such-page");
  return found;
}

/** Asks for a waiver from the list, by keyboard, as whoever can't approve it. */
async function waive(page, found) {
  await page.goto(`${base}/findings?verdict=fail&view=list`);
  if (!await page.locator("tr[data-row][data-waive]").count()) { problems.push("no failure to waive"); return; }
  await page.keyboard.press("j");
  await Promise.all([page.waitForURL((u) => u.pathname === "/waivers/new"), page.keyboard.press("w")]).catch(() => problems.push("w does not lead to a waiver"));
  check((await page.textContent("#covers")).startsWith("It would cover 1 open failure"), "the request does not show what it covers");
  found.set("waiver-dry-run", new URL(page.url()).pathname + new URL(page.url()).search);
  await page.fill("textarea[name=reason]", "moves to new disks in June");
  await page.fill("textarea[name=control]", "locked cage");
  await Promise.all([page.waitForURL((u) => /^\/waivers\/[0-9a-f]{32}$/.test(u.pathname)), page.click("button[value=ask]")]).catch(() => problems.push("asking leads to no waiver"));
  check(await page.locator("button[value=approve]").count() === 0, "who asked is offered to approve");
  found.set("waiver", new URL(page.url()).pathname);
}

async function look(page, name, address) {
  const response = await page.goto(base + address);
  const expected = address === "/no-such-page" ? 404 : 200;
  check(response.status() === expected, `${name}: status ${response.status()}`);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(overflow <= 0, `${name}: wider than the screen by ${overflow} px`);
  await audit(page, name);
  await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true });
}

/** axe runs as the debugger's script: the policy of the page stays as it is. */
async function audit(page, name) {
  // A colour on its way to another one (a changed scheme) is nobody's colour.
  await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))));
  await page.evaluate(axe);
  const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  check(result.passes.length > 0, `${name}: axe looked at nothing`);
  for (const v of result.violations) {
    for (const node of v.nodes.slice(0, 3)) problems.push(`${name}: axe ${v.id}: ${node.html.slice(0, 160)} ${node.any[0]?.message ?? ""}`);
  }
}

async function keyboard(page, pages) {
  await page.goto(base + pages.get("overview"));
  await page.keyboard.press("/");
  check(await page.evaluate(() => document.activeElement?.id) === "search", "/ does not focus the search");
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  check(await page.locator("#help").evaluate((d) => d.open), "? does not open the help");
  await audit(page, "help");
  await page.screenshot({ path: path.join(shots, "help-wide-light.png") });
  await page.keyboard.press("Escape");
  check(!await page.locator("#help").evaluate((d) => d.open), "Escape does not close the help");
  for (const [key, where] of [["f", "/findings"], ["w", "/waivers"], ["h", "/hosts"], ["e", "/evidence"], ["m", "/commitments"], ["r", "/registers"], ["o", "/"]]) {
    await page.keyboard.press("g");
    await Promise.all([page.waitForURL((u) => u.pathname === where), page.keyboard.press(key)]).catch(() => problems.push(`g ${key} does not lead to ${where}`));
  }
  await page.goto(`${base}/findings?verdict=all`);
  const rows = await page.locator("tr[data-row]").count();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  check(await page.locator("tr[data-row]").first().evaluate((r) => r.classList.contains("at")), "j j k does not stand on the first row");
  await page.goto(`${base}/findings?view=list`);
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  check(await page.locator(".pick input:checked").count() === 1, "x does not pick the row");
  await page.keyboard.press("e");
  const beside = page.locator(".beside");
  check(await beside.waitFor({ state: "visible", timeout: 10_000 }).then(() => true, () => false), "e does not explain beside the list");
  await audit(page, "beside");
  await page.screenshot({ path: path.join(shots, "beside-wide-light.png") });
  await page.keyboard.press("Escape");
  check(await beside.isHidden(), "Escape does not close what is beside");
  await page.goto(`${base}/findings?verdict=all`);
  await page.keyboard.press("/");
  await page.keyboard.type("zzzz-nothing");
  check(await page.locator("tr[data-row]:visible").count() === 0, "typing does not filter the rows");
  check((await page.locator("#filter-status").textContent()).startsWith(`0 of ${rows}`), "the filter does not say what it left");
  await page.keyboard.press("Escape");
  await page.goto(`${base}/findings?verdict=all`);
  await page.keyboard.press("j");
  await Promise.all([page.waitForURL(/\/findings\/./), page.keyboard.press("Enter")]).catch(() => problems.push("Enter does not open the row"));
  const copy = page.locator("button[data-copy]").first();
  check(await copy.isVisible(), "the fix has no copy button");
  await copy.click();
  // The clipboard answers later than the click returns.
  const answered = page.locator("button[data-copy]").filter({ hasText: /^(Copied|Selected)$/ }).first();
  check(await answered.waitFor({ timeout: 10_000 }).then(() => true, () => false), "the copy button does nothing");
}

async function withoutScript(context, pages) {
  const plain = await browser.newContext({ javaScriptEnabled: false, storageState: await context.storageState(), ignoreHTTPSErrors: true });
  const page = await plain.newPage();
  for (const name of ["overview", "findings", "hosts", "evidence"]) {
    const response = await page.goto(base + pages.get(name));
    check(response.status() === 200 && await page.locator("h1").isVisible(), `${name} needs a script`);
  }
  await page.goto(`${base}/findings?view=list`);
  await page.locator(".pick input").first().check();
  await page.fill(".bulk input[name=owner]", "ops");
  await Promise.all([page.waitForNavigation(), page.click("button[value=assign]")]);
  check((await page.textContent(".said")).includes("1 finding is changed"), "assigning needs a script");
  await plain.close();
}

async function signOut(page) {
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.goto(base);
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Sign out" }).click()]);
  check(new URL(page.url()).pathname === "/signin", "signing out leads elsewhere");
  for (const scheme of SCHEMES) {
    await page.emulateMedia({ colorScheme: scheme });
    await audit(page, `signin-${scheme}`);
    await page.screenshot({ path: path.join(shots, `signin-wide-${scheme}.png`) });
  }
  await page.goto(once);
  check((await page.textContent("h1")).includes("no longer works"), "a used link still works");
}

for (const problem of problems) console.error(problem);
console.log(`browser: ${checks} checks, ${problems.length} problems, pictures in ${shots}`);
process.exit(problems.length ? 1 : 0);
