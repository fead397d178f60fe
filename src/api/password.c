/* SPDX-License-Identifier: Apache-2.0 */
/* Concurrency: `lock` guards all members; a job belongs to the thread that took it off the list. */
#include "api/password.h"

#include <pthread.h>

#include "base/random.h"

struct passwords {
    struct metrics *metrics;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct list_node waiting;
    size_t waiting_count;
    pthread_t threads[PASSWORD_THREADS];
    size_t thread_count;
    bool is_stopping;
};

struct passwords *passwords_new(struct metrics *metrics)
{
    struct passwords *passwords = ph_calloc(1, sizeof *passwords);
    passwords->metrics = metrics;
    list_init(&passwords->waiting);
    (void)pthread_mutex_init(&passwords->lock, NULL);
    (void)pthread_cond_init(&passwords->changed, NULL);
    return passwords;
}

static void work(struct password_job *job)
{
    job->error = PH_OK;
    if (job->is_check) {
        job->is_match = password_matches(job->password, job->stored);
        return;
    }
    uint8_t salt[PASSWORD_SALT_BYTES];
    random_bytes(salt, sizeof salt);
    job->error = password_hash(job->password, salt, &job->diag, job->text);
}

static void *pool_main(void *argument)
{
    struct passwords *passwords = argument;
    (void)pthread_setname_np(pthread_self(), "password");
    (void)pthread_mutex_lock(&passwords->lock);
    for (;;) {
        struct list_node *node = list_take_first(&passwords->waiting);
        if (node == NULL && passwords->is_stopping) {
            break;
        }
        if (node == NULL) {
            (void)pthread_cond_wait(&passwords->changed, &passwords->lock);
            continue;
        }
        passwords->waiting_count--;
        bool is_stopping = passwords->is_stopping;
        (void)pthread_mutex_unlock(&passwords->lock);
        struct password_job *job = LIST_ELEMENT(node, struct password_job, node);
        if (is_stopping) {
            job->error =
                diag_set(&job->diag, PH_SHUTTING_DOWN, NULL, "the server is shutting down");
        } else {
            work(job);
            metrics_add(passwords->metrics, METRIC_PASSWORDS_DONE, 1);
        }
        job->done(job);
        (void)pthread_mutex_lock(&passwords->lock);
    }
    (void)pthread_mutex_unlock(&passwords->lock);
    return NULL;
}

/* With the lock held. One more thread as long as there are less than wanted. */
static bool start_thread(struct passwords *passwords)
{
    if (passwords->thread_count < PASSWORD_THREADS &&
        pthread_create(&passwords->threads[passwords->thread_count], NULL, pool_main, passwords) ==
            0) {
        passwords->thread_count++;
    }
    return passwords->thread_count > 0;
}

enum ph_error passwords_submit(struct passwords *passwords, struct password_job *job,
                               struct diag *diag)
{
    enum ph_error error = PH_OK;
    (void)pthread_mutex_lock(&passwords->lock);
    if (passwords->is_stopping) {
        error = diag_set(diag, PH_SHUTTING_DOWN, NULL, "the server is shutting down");
    } else if (passwords->waiting_count >= PASSWORD_WAITING_MAX) {
        metrics_add(passwords->metrics, METRIC_PASSWORDS_REFUSED, 1);
        error = diag_set(diag, PH_BUSY, NULL, "too many passwords wait to be checked");
    } else if (!start_thread(passwords)) {
        error = diag_set(diag, PH_BUSY, NULL, "no thread could be started for passwords");
    } else {
        list_append(&passwords->waiting, &job->node);
        passwords->waiting_count++;
        (void)pthread_cond_signal(&passwords->changed);
    }
    (void)pthread_mutex_unlock(&passwords->lock);
    return error;
}

void passwords_stop(struct passwords *passwords)
{
    (void)pthread_mutex_lock(&passwords->lock);
    passwords->is_stopping = true;
    size_t count = passwords->thread_count;
    passwords->thread_count = 0;
    (void)pthread_cond_broadcast(&passwords->changed);
    (void)pthread_mutex_unlock(&passwords->lock);
    for (size_t index = 0; index < count; index++) {
        (void)pthread_join(passwords->threads[index], NULL);
    }
}

void passwords_free(struct passwords *passwords)
{
    if (passwords != NULL) {
        passwords_stop(passwords);
        (void)pthread_mutex_destroy(&passwords->lock);
        (void)pthread_cond_destroy(&passwords->changed);
        free(passwords);
    }
}
