// What new users do, done in Chromium against the real programs: create the first admin, enrol a host and see it arrive, find what fails and since when,
// waive it with a second person, upload a roster and see who left, compare two scans, give an auditor a period and see the bounds hold.
//   node tests/browser/tasks.mjs BASE-URL SETUP-URL ASSAY FOLDER
// ASSAY is the agent's program, FOLDER an empty folder for its state. Needs playwright-core in target/browser; saves pictures to target/screenshots.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const top = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const target = process.env.CARGO_TARGET_DIR ?? path.join(top, "target");
const { chromium } = createRequire(path.join(target, "browser", "package.json"))("playwright-core");
const shots = path.join(target, "screenshots");
mkdirSync(shots, { recursive: true });

const [base, setup, assay, folder] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node tests/browser/tasks.mjs BASE-URL SETUP-URL ASSAY FOLDER");
  process.exit(2);
}
const PASSWORD = "correct horse battery staple";
const problems = [];
let checks = 0;
const check = (ok, text) => {
  checks += 1;
  if (!ok) problems.push(text);
};
const day = (offset) => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const person = async () => (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
const picture = (page, name) => page.screenshot({ path: path.join(shots, `task-${name}.png`), fullPage: true });
/** Sends the form of a button and waits for the page that comes. */
const press = async (page, name, within = page) => {
  await Promise.all([page.waitForNavigation(), within.getByRole("button", { name, exact: true }).first().click()]);
};
const signIn = async (name) => {
  const page = await person();
  await page.goto(`${base}/signin`);
  await page.locator("input[name=name]").fill(name);
  await page.locator("input[name=password]").fill(PASSWORD);
  await press(page, "Sign in");
  return page;
};

try {
  const admin = await person();
  await firstStart(admin);
  await firstHost(admin);
  const finding = await whatFails(admin);
  await addPerson(admin, "bo", "reviewer");
  await waive(admin, finding);
  await whoLeft(admin);
  await twoScans(admin);
  await auditor(admin);
} catch (error) {
  problems.push(error.stack);
} finally {
  await browser.close();
}

async function firstStart(page) {
  await page.goto(setup);
  await page.locator("input[name=name]").fill("ada");
  await page.locator("input[name=password]").fill("short");
  await page.locator("input[name=again]").fill("short");
  await page.getByRole("button", { name: /^Create admin/ }).click();
  check(await page.locator("input[name=again]").isVisible(), "a short password is taken");
  await page.locator("input[name=password]").fill(PASSWORD);
  await page.locator("input[name=again]").fill(PASSWORD);
  await page.locator("input[name=company]").fill("Example Ltd");
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: /^Create admin/ }).click()]);
  const other = await person();
  await other.goto(setup);
  check(!await other.locator("input[name=again]").count(), "the link of the first start serves twice");
  await other.close();
}

async function firstHost(page) {
  await page.goto(`${base}/enrol`);
  await press(page, "Make the command");
  const command = (await page.locator("#enrol-command").textContent()).trim();
  const words = command.split(/\s+/);
  check(/^echo '[^']+' \| .*assay enroll /.test(command), `the command is no command: ${command}`);
  await picture(page, "enrol");
  const state = path.join(folder, "state");
  const collector = words[words.indexOf("--collector") + 1];
  const config = path.join(folder, "agent.yaml");
  writeFileSync(config, `collector: ${collector}\nstate_dir: ${state}\nfamilies: [os, kernel, accounts, ssh_keys, pam, sudo, sshd, sessions]\ngatherer:\n  in_process: true\n`);
  // As the command says, as this user and with a state folder of its own.
  const token = command.match(/'([^']+)'/)?.[1] ?? "";
  execFileSync(assay, [...words.slice(words.indexOf("enroll")), "--state", state, "--name", "web01"], { input: token });
  await page.goto(`${base}/enrol/wait`);
  check((await page.locator("h1").textContent()).includes("waiting for the first report"), "an enrolled host is not waited for");
  scan(config);
  // The page looks again by itself.
  await page.locator("h1", { hasText: "reported" }).waitFor({ timeout: 60_000 });
  await picture(page, "arrived");
  await page.goto(base);
  check((await page.locator("h1").textContent()).includes("on 1 of 1 host"), `the overview says: ${await page.locator("h1").textContent()}`);
  await picture(page, "overview");
}

function scan(config) {
  execFileSync(assay, ["agent", "--once", "--config", config], { stdio: ["ignore", "ignore", "inherit"], timeout: 300_000 });
}

async function whatFails(page) {
  await page.goto(`${base}/findings?verdict=fail&view=list`);
  const link = page.locator('main tbody a[href^="/findings/"]').first();
  const address = await link.getAttribute("href");
  await page.goto(base + address);
  check(await page.locator(".sub .v.fail").count() > 0, "a finding that fails does not say so");
  check(await page.locator(".sub time").count() > 0, "a finding does not say since when");
  check(await page.locator("#evidence").isVisible() && await page.locator("#fix").isVisible(), "a finding shows neither evidence nor fix");
  check(await page.locator("#rests").isVisible(), "a finding does not say what it rests on");
  await picture(page, "finding");
  return address;
}

async function addPerson(page, name, role) {
  await page.goto(`${base}/settings/users`);
  await page.locator("main input[name=name]").fill(name);
  await page.locator("main select[name=role]").selectOption(role);
  await page.locator("main input[name=password]").fill(PASSWORD);
  await press(page, "Add");
  await page.goto(`${base}/settings/users`);
  check(await page.locator("main tbody a", { hasText: name }).count() === 1, `${name} is not among those who sign in`);
}

async function waive(page, address) {
  await page.goto(base + address);
  await page.goto(base + (await page.getByRole("link", { name: "Ask for a waiver" }).getAttribute("href")));
  await page.locator("textarea[name=reason]").fill("The vendor mends it with the next release.");
  await page.locator("textarea[name=control]").fill("The port is closed by the firewall meanwhile.");
  await page.locator("input[name=expires]").fill(day(30));
  await press(page, "Show what it covers");
  check(/It would cover/.test(await page.locator("#covers").textContent()), "the dry run shows nothing");
  await press(page, "Ask for the waiver");
  await page.goto(`${base}/waivers`);
  const waiver = await page.locator('main tbody a[href^="/waivers/"]').first().getAttribute("href");
  await page.goto(base + waiver);
  check(await page.getByRole("button", { name: "Approve" }).count() === 0, "who asks may approve");
  await page.goto(base + address);
  check(await page.locator(".sub .v.fail").count() > 0, "a waiver that nobody approved covers already");
  const second = await signIn("bo");
  await second.goto(base + waiver);
  await second.locator("textarea[name=note]").fill("Seen.");
  await press(second, "Approve");
  await page.goto(base + address);
  check(await page.locator(".sub .v.waived").count() > 0, "an approved waiver does not cover");
  check(await page.locator("#waiver").isVisible(), "a waived finding does not show its waiver");
  await picture(page, "waived");
  await second.context().close();
}

async function whoLeft(page) {
  await page.goto(`${base}/people`);
  check((await page.locator("main").textContent()).includes("There is no roster"), "without a roster, leavers are told");
  await page.goto(`${base}/lists/roster`);
  const columns = (await page.locator("main form + .note code").first().textContent()).split(",").map((c) => c.trim());
  const row = { person: "root", name: "R. Oot", email: "root@example.org", accounts: "root", account: "root", ended_at: day(-14) };
  const csv = path.join(folder, "people.csv");
  writeFileSync(csv, `${columns.join(",")}\n${columns.map((c) => row[c] ?? "").join(",")}\n`);
  await page.locator("input[type=file]").setInputFiles(csv);
  await press(page, "Look at it");
  check((await page.locator("#changes").isVisible()) && /1 rows?: 1 new/.test((await page.locator("main").textContent()).replace(/\s+/g, " ")), "an upload does not say what it would change");
  await press(page, "Put into force");
  await page.goto(`${base}/people`);
  check(!(await page.locator("main").textContent()).includes("There is no roster"), "the roster is not in force");
  // Judged again in the background.
  for (let i = 0; i < 10 && !await page.locator("#inside").count(); i += 1) {
    await page.waitForTimeout(1000);
    await page.reload();
  }
  // Whether this machine's root has a way in is its own affair; that the page says which of the two is ours.
  const says = await page.locator("main").textContent();
  check(await page.locator("#inside").count() === 1 || says.includes("No way in of anybody who left is known"), "the page does not say whether who left still gets in");
  await picture(page, "people");
}

async function twoScans(page) {
  scan(path.join(folder, "agent.yaml"));
  await page.goto(`${base}/hosts`);
  await page.goto(base + (await page.locator('main tbody a[href^="/hosts/"]').first().getAttribute("href")));
  await picture(page, "host");
  await page.goto(`${page.url()}/compare`);
  check(await page.locator("main .facets select").count() >= 2, "two scans can't be compared");
  await picture(page, "compare");
}

async function auditor(page) {
  await addPerson(page, "audrey", "auditor");
  await page.locator("main tbody a", { hasText: "audrey" }).click();
  await page.locator("input[name=frameworks]").first().check();
  const framework = await page.locator("input[name=frameworks]").first().getAttribute("value");
  await page.locator("input[name=from]").fill(day(-30));
  await page.locator("input[name=to]").fill(day(0));
  await press(page, "Set bounds");
  await picture(page, "bounds");
  const audrey = await signIn("audrey");
  for (const [address, status] of [["/settings/users", 403], ["/settings/alerts", 403], [`/findings?as_of=${day(-60)}`, 403]]) {
    const answer = await audrey.goto(base + address);
    check(answer.status() === status, `${address} answers an auditor ${answer.status()}`);
  }
  await picture(audrey, "no-permission");
  const answer = await audrey.goto(`${base}/evidence?framework=${framework}&from=${day(-30)}&to=${day(0)}`);
  check(answer.status() === 200, `the evidence within the bounds answers ${answer.status()}`);
  await picture(audrey, "auditor");
  await page.goto(`${base}/audit`);
  check((await page.locator("main").textContent()).includes("audrey"), "the audit trail does not know the auditor");
  await picture(page, "audit");
  await audrey.context().close();
}

for (const problem of problems) console.error(problem);
console.log(`tasks: ${checks} checks, ${problems.length} problems, pictures in ${shots}`);
process.exit(problems.length ? 1 : 0);
